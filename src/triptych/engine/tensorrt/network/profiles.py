"""Which sizes an engine is built for: a few optimization profiles, each a range per free dimension of the graph.

TensorRT tunes its kernels for a profile's best sizes and reserves memory for its largest, so the ranges trade: many
samples at the checkpoint's own size, few at others. Batches beyond all profiles' are run in parts (`parts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import onnx

from triptych.checkpoint import Component
from triptych.contract import (
    CONTROLNET,
    CONTROLNET_HINT,
    ENCODERS,
    IMAGE_ENCODER,
    SAFETY_CHECKER,
    T2I_ADAPTER,
    UNET,
    VAE_ENCODER,
)
from triptych.engine.rewriting.variant import PLAIN, Variant
from triptych.engine.tensorrt.network.extents import PIXELS_A_LATENT, largest_extent, most_samples
from triptych.errors import FailedPreconditionError, InvalidArgumentError, invalid

Dims = tuple[int | str, ...]
Which = Literal["least", "best", "most"]
_LEAST_EXTENT = 2  # the exporter's
_MOST_BATCH, _FEW = 16, 4
# Of a UNet at its own size: (best, most). Two are guidance's pair, and a kernel that is fast for them is not for 16.
_BATCHES = ((2, 4), (8, 8), (16, 16))
# What IP-Adapters make of a picture: 4, 16 or 257, repeated to be as many where several are unlike.
IMAGE_TOKENS, _MOST_IMAGE_TOKENS = "image_tokens", 1028
_EACH_STEP = (UNET.name, CONTROLNET)
# Whose samples are run one by one, for what they say is remembered.
_ALONE = (*ENCODERS, IMAGE_ENCODER.name)


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

    def shape(self, dims: Dims, which: Which) -> tuple[int, ...]:
        """An input's shape at one end of the ranges."""
        return shape_of(dims, {name: int(getattr(sizes, which)) for name, sizes in self.ranges.items()})

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether every size lies in its range."""
        return all(self.ranges[name].least <= size <= self.ranges[name].most for name, size in sizes.items())


def shape_of(dims: Dims, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """An input's shape where free dimensions have those sizes."""
    return tuple(dim if isinstance(dim, int) else _size(dim, sizes) for dim in dims)


def _size(dim: str, sizes: Mapping[str, int]) -> int:
    """Of "latent_height/4" a quarter of that, rounded up, as convolutions halve twice."""
    name, _, divisor = dim.partition("/")
    return -(-sizes[name] // int(divisor or 1))


def profiles_of(component: Component, variant: Variant = PLAIN) -> tuple[Profile, ...]:
    """The profiles of a component, in the order in which they are tried.

    The checkpoint's own size comes first, then a few samples of sizes around it, then one or two up to twice as large.
    """
    model = component.architecture.model
    if model in _ALONE:
        return (Profile({"batch": Range(1, 1, 1)}),)
    if model == SAFETY_CHECKER.name:  # whose pictures are of one size, whatever the checkpoint's are
        return (Profile({"batch": Range(1, 1, _FEW)}),)
    height, width = component.latent_size
    most = min(_MOST_BATCH, most_samples(component, height, width))
    if not most:
        raise FailedPreconditionError(
            f"{component.place}: latents of {width}x{height} make tensors of 2^31 elements, which TensorRT does not "
            f"take; use the engine torch"
        )
    best = 2 if model in _EACH_STEP else 1
    # A picture fills a GPU by itself, and its activations are many times a step's: more at once would win nothing.
    own = _batches(most) if model in _EACH_STEP else [Range(1, 1, min(most, _FEW))]
    profiles = [_profile(component, batch, Range(height, height, height), Range(width, width, width)) for batch in own]
    least, extent = max(_LEAST_EXTENT, min(height, width) // 2), max(height, width)
    varied = largest_extent(component, best, extent * 3 // 2, extent)
    large = largest_extent(component, 1, extent * 2, extent)
    for centre, top, few in (((height, width), varied, _FEW), ((varied, varied), large, 2)):
        batch = min(few if model in _EACH_STEP else 1, most_samples(component, top, top))
        if batch and (top > extent or height != width):
            sides = [Range(least, side, top) for side in centre]
            profiles.append(_profile(component, Range(1, min(best, batch), batch), *sides))
    if variant.prompts:
        tokens = Range(1, 16, _MOST_IMAGE_TOKENS)
        return tuple(Profile({**profile.ranges, IMAGE_TOKENS: tokens}) for profile in profiles)
    return tuple(profiles)


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
    for name in sorted(shapes, key=lambda name: any("/" in str(dim) for dim in dims[name])):
        shape = shapes[name]
        if len(shape) != len(dims[name]):
            raise invalid(name, f"{shape} has not {len(dims[name])} dimensions")
        for dim, size in zip(dims[name], shape, strict=True):
            if isinstance(dim, str) and "/" not in dim:
                sizes.setdefault(dim, size)
            wanted = dim if isinstance(dim, int) else _size(dim, sizes)
            if size != wanted:
                raise invalid(name, f"{shape} has {size} where {wanted} is needed ({dims[name]})")
    return sizes


def choose_profile(profiles: Sequence[Profile], sizes: Mapping[str, int]) -> int:
    """The index of the first profile that holds the sizes; InvalidArgumentError names all limits if none does."""
    for index, profile in enumerate(profiles):
        if profile.holds(sizes):
            return index
    raise outside(profiles, sizes)


def most_batch(profiles: Sequence[Profile], sizes: Mapping[str, int]) -> int:
    """The largest batch of samples that large; InvalidArgumentError where no profile takes one."""
    batches = [p.ranges["batch"].most for p in profiles if p.holds({**sizes, "batch": p.ranges["batch"].most})]
    if not batches:
        raise outside(profiles, sizes)
    return max(batches)


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


def _batches(most: int) -> list[Range]:
    """Ranges that together hold every batch up to the most."""
    ranges: list[Range] = []
    for best, top in _BATCHES:
        least = ranges[-1].most + 1 if ranges else 1
        if least <= most:
            ranges.append(Range(least, min(best, most), min(top, most)))
    return ranges


def _profile(component: Component, batch: Range, height: Range, width: Range) -> Profile:
    """From the extents of latents; some models take pictures of them."""
    architecture = component.architecture
    if architecture.model in _EACH_STEP:
        return Profile({"batch": batch, "latent_height": height, "latent_width": width, "tokens": Range(2, 77, 616)})
    names, scale = ("latent_height", "latent_width"), 1
    if architecture.model == T2I_ADAPTER:
        names, scale = ("image:height", "image:width"), PIXELS_A_LATENT
    elif architecture.model in (VAE_ENCODER.name, CONTROLNET_HINT):
        scale = 2 ** (len(architecture.config["block_out_channels"]) - 1)
        stem = f"{scale}*" if architecture.model == CONTROLNET_HINT else ""
        names = f"{stem}height", f"{stem}width"
    return Profile({"batch": batch, names[0]: _scaled(height, scale), names[1]: _scaled(width, scale)})


def _scaled(extents: Range, scale: int) -> Range:
    return Range(extents.least * scale, extents.best * scale, extents.most * scale)
