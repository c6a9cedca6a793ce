"""A control-LoRA: a ControlNet's file in which the weights that it shares with its UNet are told by what is added.

Stability AI's, and those that were made as they were: https://huggingface.co/stabilityai/control-lora
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from triptych.checkpoint.configs import broken
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import Factors
from triptych.checkpoint.sources.controls.file import ControlNetFile
from triptych.contract import CONTROLNET

_MARK = "lora_controlnet"
_UP, _DOWN = ".up", ".down"


class ControlLoraFile(ControlNetFile):
    """The file at `path`, whose own weights are whole, and whose factors are of weights that its UNet has."""

    def __init__(self, path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> None:
        factors = _factors(path, tensors)
        # Named, and asked for sizes, as if each product were there.
        products = {name: replace(each.down, shape=each.shape) for name, each in factors.items()}
        whole = {name: info for name, info in tensors.items() if not name.endswith((_UP, _DOWN)) and name != _MARK}
        super().__init__(path, whole | products, metadata)
        of = {products[name]: each for name, each in factors.items()}
        self._factors = {name: of[info] for name, info in self._named.by_name.items() if info in of}

    @classmethod
    def is_one(cls, names: Collection[str]) -> bool:
        """Whether it is marked as one."""
        return _MARK in names

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """Those that are whole."""
        own = super().weights(part, class_name)
        return {name: info for name, info in own.items() if part != CONTROLNET or name not in self._factors}

    def factors(self, part: str) -> Mapping[str, Factors]:
        """Of all others."""
        return self._factors if part == CONTROLNET else {}


def _factors(path: Path, tensors: Mapping[str, TensorInfo]) -> dict[str, Factors]:
    """By the names of the weights that they are for."""
    found = {}
    for stem in dict.fromkeys(name.rpartition(".")[0] for name in tensors if name.endswith((_UP, _DOWN))):
        up, down = (tensors.get(f"{stem}{part}") for part in (_UP, _DOWN))
        if up is None or down is None:
            raise broken(path, f"it lacks {stem}{_UP if up is None else _DOWN}")
        is_sound = min(len(up.shape), len(down.shape)) > 1 and 0 not in (*up.shape, *down.shape)
        if not is_sound or up.shape[1] != down.shape[0] or math.prod(up.shape[2:]) != 1:
            raise broken(path, f"{stem}: up {up.shape} and down {down.shape} do not go together")
        found[f"{stem}.weight"] = Factors(up, down)
    return found
