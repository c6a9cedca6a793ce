"""A ControlNet as one file: in the original's layout, its names with or without their prefix, or in diffusers'."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from triptych.checkpoint.configs import broken
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import OnePart, Told
from triptych.checkpoint.sources.controls.folder import hint_config, index, own_weights
from triptych.checkpoint.sources.original.control_net import HINT, control_net_config, in_diffusers_names
from triptych.checkpoint.sources.original.tensors import Tensors
from triptych.contract import CONTROLNET_HINT

# Of the original's names; a file that lacks it was pruned, or never was part of a checkpoint.
_PREFIXES = ("control_model.", "")
_DIFFUSERS_HINT = "controlnet_cond_embedding.conv_in.weight"
# By which those are told that hold no network.
_DIFFERENCE = "difference"
# In a file's name, which is what the web UI's extension goes by too: the only one that pools what it adds.
_POOLING = "shuffle"


class ControlNetFile(OnePart):
    """The file at `path`; all that is asked of it are the parts "controlnet" and "controlnet_hint"."""

    format = "single-file"

    def __init__(self, path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> None:
        self.path = path
        self._metadata = metadata
        if _DIFFERENCE in tensors:
            problem = "it is the difference to a checkpoint's UNet; take the whole ControlNet, in float16 say"
            raise broken(path, problem)
        self._named = _named(path, tensors)

    @classmethod
    def is_one(cls, names: Collection[str]) -> bool:
        """Whether the names are a ControlNet's; those that were published first have a checkpoint around them."""
        is_original = any(f"{prefix}{HINT}" in names for prefix in _PREFIXES)
        return is_original or (_DIFFUSERS_HINT in names and not any(".motion_modules." in name for name in names))

    def metadata(self) -> Mapping[str, str]:
        """Of the file's header."""
        return self._metadata

    def index(self) -> Told:
        """As if it were a pipeline of two parts."""
        return Told(self.path, index())

    def config(self, part: str) -> Told:
        """From the tensors' shapes."""
        return Told(self.path, hint_config(self._config) if part == CONTROLNET_HINT else self._config)

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """Those of the part, by diffusers' names."""
        return own_weights(part, self._named.by_name)

    @cached_property
    def _config(self) -> dict[str, Any]:
        config = control_net_config(self._named)
        pools = _POOLING in self.path.stem.lower() and "addition_embed_type" not in config
        return config | {"global_pool_conditions": pools}


def _named(path: Path, tensors: Mapping[str, TensorInfo]) -> Tensors:
    """By diffusers' names, from whichever layout."""
    if _DIFFUSERS_HINT in tensors:
        return Tensors(path, "", tensors)
    prefix = next(prefix for prefix in _PREFIXES if f"{prefix}{HINT}" in tensors)
    return in_diffusers_names(Tensors.below(path, prefix, tensors))
