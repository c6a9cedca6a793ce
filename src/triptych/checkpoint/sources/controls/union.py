"""A union ControlNet, which looks at pictures of several types: a folder as diffusers saves one, or that one's file.

It is read as two parts, as any ControlNet is; what tells the types apart is the hint's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import Told
from triptych.checkpoint.sources.controls.file import ControlNetFile
from triptych.checkpoint.sources.controls.folder import hint_config
from triptych.checkpoint.sources.one_folder import OneFolder
from triptych.checkpoint.sources.original.control_net import union_config
from triptych.contract import CONTROLNET, CONTROLNET_HINT

CLASS, HINT_CLASS = "ControlNetUnionModel", "ControlNetUnionHint"
# What no other ControlNet has: a vector for each type.
_TYPES = "task_embedding"
# How the names of the hint's weights begin, as diffusers spells them.
_HINT = ("controlnet_cond_embedding.", _TYPES, "transformer_layes.", "spatial_ch_projs.")
# What is the hint's own of a configuration, besides a plain ControlNet's.
_HINT_KEYS = ("num_control_type", "num_trans_channel", "num_trans_head", "num_trans_layer", "num_proj_channel")


class ControlNetUnionFolder(OneFolder):
    """All that is asked of it are the parts "controlnet" and "controlnet_hint"."""

    class_name = CLASS
    # The first that was published, xinsir/controlnet-union-sdxl-1.0, was saved by its author's own class.
    other_names = frozenset({"ControlNetModel_Union"})

    def index(self) -> Told:
        """As if it were a pipeline of two parts."""
        return Told(super().config(CONTROLNET).file, _index())

    def config(self, part: str) -> Told:
        """Its own, or what of that shapes the hint."""
        file, config = super().config(part)
        return Told(file, _own_config(part, config))

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """Those of the part."""
        return _own_weights(part, super().weights(part, class_name))


class ControlNetUnionFile(ControlNetFile):
    """The file at `path`, by diffusers' names, which are those that unions are published by."""

    @classmethod
    def is_one(cls, names: Collection[str]) -> bool:
        """Whether it is a ControlNet that tells types apart."""
        return _TYPES in names and super().is_one(names)

    def index(self) -> Told:
        """As if it were a pipeline of two parts."""
        return Told(self.path, _index())

    def config(self, part: str) -> Told:
        """From the tensors' shapes."""
        return Told(self.path, _own_config(part, self._config | union_config(self._named)))

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """Those of the part."""
        return _own_weights(part, self._named.by_name)


def _index() -> dict[str, Any]:
    parts = {CONTROLNET: ["diffusers", CLASS], CONTROLNET_HINT: ["diffusers", HINT_CLASS]}
    return {"_class_name": CLASS, **parts}


def _own_config(part: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    if part != CONTROLNET_HINT:
        return config
    return hint_config(config) | {key: config.get(key) for key in _HINT_KEYS}


def _own_weights(part: str, weights: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    is_hint = part == CONTROLNET_HINT
    return {name: info for name, info in weights.items() if name.startswith(_HINT) is is_hint}
