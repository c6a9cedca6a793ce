"""A T2I-Adapter: a folder as diffusers saves one, or one file, by its names or by those of TencentARC's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from triptych.checkpoint.configs import broken
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import OnePart, Told
from triptych.checkpoint.sources.one_folder import OneFolder
from triptych.checkpoint.sources.original.tensors import Tensors
from triptych.contract import T2I_ADAPTER

CLASS = "T2IAdapter"
_PREFIX = "adapter."
# Of diffusers', the original's full ones and its light ones.
_MARKS = ("adapter.body.0.resnets.0.block1.weight", "body.0.block1.weight", "body.0.body.0.block1.weight")
# The original counts its layers through all blocks, of which there are this many.
_BLOCKS = 4
_FULL_LAYER = re.compile(r"body\.(\d{1,3})\.(in_conv|block1|block2)\.(weight|bias)")
_LIGHT_LAYER = re.compile(r"(body\.\d{1,3})\.body\.(\d{1,3}\.block[12]\.)")
# Colours and pixels each way that are laid side by side first, by how many numbers that makes.
_INPUTS = {64: (1, 8), 192: (3, 8), 256: (1, 16), 768: (3, 16)}


class T2IAdapterFolder(OneFolder):
    """All that is asked of it is the part "t2i_adapter"."""

    class_name = CLASS

    def index(self) -> Told:
        """As if it were a pipeline of one part."""
        return Told(self.config(T2I_ADAPTER).file, _index())


class T2IAdapterFile(OnePart):
    """The file at `path`; all that is asked of it is the part "t2i_adapter"."""

    format = "single-file"

    def __init__(self, path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> None:
        self.path = path
        self._metadata = metadata
        self._named = Tensors(path, "", _named(path, tensors))

    @classmethod
    def is_one(cls, names: Collection[str]) -> bool:
        """Whether the names are an adapter's."""
        return any(mark in names for mark in _MARKS)

    def metadata(self) -> Mapping[str, str]:
        """Of the file's header."""
        return self._metadata

    def index(self) -> Told:
        """As if it were a pipeline of one part."""
        return Told(self.path, _index())

    def config(self, part: str) -> Told:
        """From the tensors' shapes."""
        return Told(self.path, _config(self._named))

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """By diffusers' names."""
        return dict(self._named.by_name)


def _index() -> dict[str, Any]:
    return {"_class_name": CLASS, T2I_ADAPTER: ["diffusers", CLASS]}


def _named(path: Path, tensors: Mapping[str, TensorInfo]) -> Mapping[str, TensorInfo]:
    """By diffusers' names, from whichever layout."""
    if any(name.startswith(_PREFIX) for name in tensors):
        return tensors
    if skipping := next((name for name in tensors if ".skep." in name), ""):
        raise broken(path, f"it has a layer {skipping}, which no adapter that is supported has")
    layers = {int(match[1]) for match in map(_FULL_LAYER.fullmatch, tensors) if match}
    a_block = -(-len(layers) // _BLOCKS)
    return {f"{_PREFIX}{_name(name, a_block)}": info for name, info in tensors.items()}


def _name(original: str, layers_a_block: int) -> str:
    if (match := _FULL_LAYER.fullmatch(original)) and match[2] != "in_conv":
        block, layer = divmod(int(match[1]), layers_a_block)
        return f"body.{block}.resnets.{layer}.{match[2]}.{match[3]}"
    if match and layers_a_block:
        return f"body.{int(match[1]) // layers_a_block}.in_conv.{match[3]}"
    return _LIGHT_LAYER.sub(r"\1.resnets.\2", original)


def _config(tensors: Tensors) -> dict[str, Any]:
    """As diffusers writes it: one for XL has its picture's pixels laid side by side by 16, others by 8."""
    is_light = "adapter.body.0.out_conv.weight" in tensors
    widest = "adapter.body.{}.out_conv.weight" if is_light else "adapter.body.{}.resnets.0.block1.weight"
    channels = [tensors.shape(widest.format(block), 4)[0] for block in range(tensors.several(widest))]
    first = "adapter.body.0.in_conv.weight" if is_light else "adapter.conv_in.weight"
    inputs = tensors.shape(first, 4)[1]
    if inputs not in _INPUTS:
        problem = f"{first} takes {inputs} channels, and an adapter's {', '.join(map(str, _INPUTS))}"
        raise broken(tensors.file, problem)
    colours, together = _INPUTS[inputs]
    return {
        "in_channels": colours,
        # A light one's last block is as wide as the one before, which its configuration leaves unsaid.
        "channels": channels[:-1] if is_light else channels,
        "num_res_blocks": tensors.several("adapter.body.0.resnets.{}.block1.weight"),
        "downscale_factor": together,
        "adapter_type": "light_adapter" if is_light else "full_adapter" if together == 8 else "full_adapter_xl",
    }
