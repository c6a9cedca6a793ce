"""A ControlNet, which stands beside a UNet: a folder as diffusers saves one.

It is read as two parts, for what makes its hint runs once a request and all else in every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import Told
from triptych.checkpoint.sources.one_folder import OneFolder
from triptych.contract import CONTROLNET, CONTROLNET_HINT

CLASS, HINT_CLASS = "ControlNetModel", "ControlNetConditioningEmbedding"
# How the names of the hint's weights begin.
_HINT = "controlnet_cond_embedding."


class ControlNetFolder(OneFolder):
    """All that is asked of it are the parts "controlnet" and "controlnet_hint"."""

    class_name = CLASS

    def index(self) -> Told:
        """As if it were a pipeline of two parts."""
        return Told(super().config(CONTROLNET).file, index())

    def config(self, part: str) -> Told:
        """Its own, or what of that shapes the hint."""
        file, config = super().config(part)
        return Told(file, hint_config(config) if part == CONTROLNET_HINT else config)

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """Those of the part."""
        return own_weights(part, super().weights(part, class_name))


def index() -> dict[str, Any]:
    """What a pipeline's would say."""
    return {"_class_name": CLASS, CONTROLNET: ["diffusers", CLASS], CONTROLNET_HINT: ["diffusers", HINT_CLASS]}


def hint_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of diffusers' class for the hint, from a ControlNet's configuration."""
    channels = config.get("block_out_channels")
    return {
        "conditioning_channels": config.get("conditioning_channels"),
        "conditioning_embedding_channels": channels[0] if isinstance(channels, list) and channels else None,
        "block_out_channels": config.get("conditioning_embedding_out_channels"),
        "controlnet_conditioning_channel_order": config.get("controlnet_conditioning_channel_order"),
    }


def own_weights(part: str, weights: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """Of a ControlNet's weights those of one part; the hint's by the names of diffusers' class for it."""
    if part == CONTROLNET_HINT:
        return {name.removeprefix(_HINT): info for name, info in weights.items() if name.startswith(_HINT)}
    return {name: info for name, info in weights.items() if not name.startswith(_HINT)}
