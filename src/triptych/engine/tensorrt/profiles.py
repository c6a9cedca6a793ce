"""Which sizes an engine is built for: a few optimization profiles, each a range per free dimension of the graph.

TensorRT tunes its kernels for a profile's best sizes and reserves memory for its largest, so the ranges trade: many
samples at the checkpoint's own size, few at others. Batches beyond a profile's are run in parts (`parts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import onnx

from triptych.checkpoint import Component
from triptych.errors import InvalidArgumentError, invalid

Dims = tuple[int | str, ...]
# The exporter's least latent extent, and the extent taken where a configuration has none or an absurd one.
_LEAST_EXTENT, _USUAL_EXTENT, _MOST_EXTENT = 2, 64, 512
_MOST_BATCH, _FEW = 16, 4


@dataclass(frozen=True)
class Range:
    """The sizes of one dimension: from least to most, fastest at best."""

    least: int
    best: int
    most: int


@dataclass(frozen=True)
class Profile:
    """A range for every free dimension, by the name that the graph gives it."""

    ranges: Mapping[str, Range]

    def shape(self, dims: Dims, which: Literal["least", "best", "most"]) -> tuple[int, ...]:
        """An input's shape at one end of the ranges."""
        return tuple(dim if isinstance(dim, int) else int(getattr(self.ranges[dim], which)) for dim in dims)

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether every size lies in its range; the batch may be larger, for it is run in parts."""
        return all(
            self.ranges[name].least <= size and (name == "batch" or size <= self.ranges[name].most)
            for name, size in sizes.items()
        )


def profiles_of(component: Component) -> tuple[Profile, ...]:
    """The profiles of a component, in the order in which they are tried; one batch of two is guidance's pair."""
    model = component.architecture.model
    if model == "encoder":
        return (Profile({"batch": Range(1, 2, _MOST_BATCH)}),)
    extent = native_extent(component)
    best = 2 if model == "unet" else 1
    return (
        _profile(model, Range(1, best, _MOST_BATCH), Range(extent, extent, extent)),
        _profile(model, Range(1, best, _FEW), Range(max(_LEAST_EXTENT, extent // 2), extent, extent * 3 // 2)),
        _profile(model, Range(1, best, 2), Range(max(_LEAST_EXTENT, extent // 2), extent * 3 // 2, extent * 2)),
    )


def native_extent(component: Component) -> int:
    """The latents' extent at the checkpoint's own picture size; the larger one where height and width differ."""
    size = component.config.get("sample_size")
    extents = size if isinstance(size, list) else [size]
    if not extents or not all(type(extent) is int for extent in extents):
        return _USUAL_EXTENT
    scale = 1 if component.architecture.model == "unet" else 2 ** (len(component.config["block_out_channels"]) - 1)
    extent = int(max(extents)) // scale
    return extent if _LEAST_EXTENT <= extent <= _MOST_EXTENT else _USUAL_EXTENT


def input_dims(graph: onnx.GraphProto) -> dict[str, Dims]:
    """Every input's dimensions, numbers where they are fixed and names where they are free."""
    return {
        value.name: tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in graph.input
    }


def sizes_of(dims: Mapping[str, Dims], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Each free dimension's size; InvalidArgumentError where inputs are not the graph's or contradict each other."""
    if shapes.keys() != dims.keys():
        raise invalid("inputs", f"{', '.join(sorted(shapes))} are not {', '.join(sorted(dims))}")
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        if len(shape) != len(dims[name]):
            raise invalid(name, f"{shape} has not {len(dims[name])} dimensions")
        for dim, size in zip(dims[name], shape, strict=True):
            wanted = dim if isinstance(dim, int) else sizes.setdefault(dim, size)
            if size != wanted:
                raise invalid(name, f"{shape} has {size} where {wanted} is needed ({dims[name]})")
    return sizes


def choose_profile(profiles: Sequence[Profile], sizes: Mapping[str, int]) -> int:
    """The index of the first profile that holds the sizes; InvalidArgumentError names all limits if none does."""
    for index, profile in enumerate(profiles):
        if profile.holds(sizes):
            return index
    raise outside(profiles, sizes)


def outside(profiles: Sequence[Profile], sizes: Mapping[str, int]) -> InvalidArgumentError:
    """The error for sizes that no profile holds."""
    names = [name for name in sizes if name != "batch"]
    limits = [" x ".join(f"{name} {p.ranges[name].least}..{p.ranges[name].most}" for name in names) for p in profiles]
    asked = ", ".join(f"{name} {sizes[name]}" for name in names)
    return invalid("size", f"the engine was not built for {asked}; it takes {' or '.join(dict.fromkeys(limits))}")


def parts(batch: int, most: int) -> list[slice]:
    """Cuts a batch into as few and as equal parts as fit."""
    count = max(1, -(-batch // most))
    bounds = [batch * index // count for index in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(bounds)]


def _profile(model: str, batch: Range, extent: Range) -> Profile:
    ranges = {"batch": batch, "latent_height": extent, "latent_width": extent}
    return Profile(ranges | {"tokens": Range(2, 77, 616)} if model == "unet" else ranges)
