"""A union ControlNet, which looks at pictures of several types: a folder as diffusers saves one.

It is read as two parts, as any ControlNet is; what tells the types apart is the hint's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import Told
from triptych.checkpoint.sources.control_net import hint_config
from triptych.checkpoint.sources.one_folder import OneFolder
from triptych.contract import CONTROLNET, CONTROLNET_HINT

CLASS, HINT_CLASS = "ControlNetUnionModel", "ControlNetUnionHint"
# How the names of the hint's weights begin, as diffusers spells them.
_HINT = ("controlnet_cond_embedding.", "task_embedding", "transformer_layes.", "spatial_ch_projs.")
# What is the hint's own of a configuration, besides a plain ControlNet's.
_HINT_KEYS = ("num_control_type", "num_trans_channel", "num_trans_head", "num_trans_layer", "num_proj_channel")


class ControlNetUnionFolder(OneFolder):
    """All that is asked of it are the parts "controlnet" and "controlnet_hint"."""

    class_name = CLASS
    # The first that was published, xinsir/controlnet-union-sdxl-1.0, was saved by its author's own class.
    other_names = frozenset({"ControlNetModel_Union"})

    def index(self) -> Told:
        """As if it were a pipeline of two parts."""
        parts = {CONTROLNET: ["diffusers", CLASS], CONTROLNET_HINT: ["diffusers", HINT_CLASS]}
        return Told(super().config(CONTROLNET).file, {"_class_name": CLASS, **parts})

    def config(self, part: str) -> Told:
        """Its own, or what of that shapes the hint."""
        file, config = super().config(part)
        return Told(file, _union_hint_config(config) if part == CONTROLNET_HINT else config)

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """Those of the part."""
        whole, is_hint = super().weights(part, class_name), part == CONTROLNET_HINT
        return {name: info for name, info in whole.items() if name.startswith(_HINT) is is_hint}


def _union_hint_config(config: Mapping[str, Any]) -> dict[str, Any]:
    return hint_config(config) | {key: config.get(key) for key in _HINT_KEYS}
