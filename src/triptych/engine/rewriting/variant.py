"""Which graph of an architecture a batch runs in: the plain one, or one that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import onnx

from triptych.checkpoint import Component
from triptych.contract import CONTROLNET, CONTROLNET_HINT, UNET, VAE_DECODER, VAE_ENCODER
from triptych.engine.conditions import (
    cross_attention_widths,
    feature_places,
    is_controlled,
    prompts_in,
    residual_names,
)
from triptych.engine.port import Array
from triptych.engine.rewriting.adapting import take_features
from triptych.engine.rewriting.controlling import take_residuals
from triptych.engine.rewriting.prompting import take_image_prompt
from triptych.engine.rewriting.wrapping import wrap_convolutions

# Models whose convolutions wrap around where pictures tile.
_WRAP = (UNET.name, VAE_DECODER.name, VAE_ENCODER.name, CONTROLNET, CONTROLNET_HINT)


class Variant(NamedTuple):
    """A graph over the same weights: the axes along which it wraps around, whether residuals and features of
    ControlNets and adapters are added in it, and by how many IP-Adapters it looks at pictures.
    """

    axes: str = ""
    is_controlled: bool = False
    prompts: int = 0  # adapters whose pictures are looked at

    @classmethod
    def of(cls, inputs: Mapping[str, Array], axes: str = "") -> Variant:
        """That which takes these."""
        return cls(axes, is_controlled(inputs), prompts_in(inputs))

    @property
    def label(self) -> str:
        """A few words for lists; none of the plain one."""
        prompts = f"{self.prompts} image prompt{'s' * (self.prompts > 1)}" if self.prompts else ""
        parts = "controls" if self.is_controlled else "", prompts, f"tiling {self.axes}" if self.axes else ""
        return ", ".join(part for part in parts if part)

    def fits(self, model: str) -> bool:
        """Whether graphs of that model can be made into it."""
        return model in (_WRAP if not (self.is_controlled or self.prompts) else (UNET.name,))

    def rewrite(self, model: onnx.ModelProto, component: Component) -> None:
        """Makes it of the component's own graph, in place; attention must be written out."""
        architecture = component.architecture
        if self.axes:
            wrap_convolutions(model, self.axes)
        if self.is_controlled:
            take_features(model, feature_places(architecture))
            take_residuals(model, residual_names(architecture))
        if self.prompts:
            take_image_prompt(model, cross_attention_widths(component), self.prompts)


PLAIN = Variant()
