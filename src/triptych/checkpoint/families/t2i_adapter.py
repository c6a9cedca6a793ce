"""T2I-Adapters, which draw nothing by themselves: what they make of a picture is added to a UNet's way down.

Mou et al., "T2I-Adapter" (arXiv:2302.08453): a feature for each of its blocks, and of one for XL for the middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from triptych.checkpoint.architecture import Architecture
from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.configs import broken, channel_list, whole_number
from triptych.checkpoint.families.base import Family
from triptych.contract import T2I_ADAPTER

CLASS = "T2IAdapter"
FULL, FULL_XL, LIGHT = "full_adapter", "full_adapter_xl", "light_adapter"
_TYPES = {FULL: "Stable Diffusion 1.x and 2.x", FULL_XL: "Stable Diffusion XL", LIGHT: "Stable Diffusion 1.x and 2.x"}


class Feature(NamedTuple):
    """Its channels, and how much smaller each way it is than what it is counted in: a picture, or latents."""

    channels: int
    smaller: int


def features(adapter: Architecture) -> list[Feature]:
    """What it makes of a picture, the largest first."""
    config = adapter.config
    channels, unshuffled = config["channels"], config["downscale_factor"]
    if config["adapter_type"] == FULL_XL:
        # It halves but once, and its picture came twice as small.
        return [Feature(width, unshuffled * (1 + (place > 1))) for place, width in enumerate(channels)]
    widths = [*channels, channels[-1]] if config["adapter_type"] == LIGHT else channels
    return [Feature(width, unshuffled * 2**place) for place, width in enumerate(widths)]


def places(unet: Architecture) -> list[Feature]:
    """Where a UNet takes features, as diffusers has it: one in each block of the way down, and behind the middle.

    A block with attention takes it before its picture is halved, any other at its end.
    """
    kinds, channels = unet.config["down_block_types"], unet.config["block_out_channels"]
    last = len(channels) - 1
    taken = [
        Feature(width, 2 ** (block if block == last or crosses(kind) else block + 1))
        for block, (kind, width) in enumerate(zip(kinds, channels, strict=True))
    ]
    return [*taken, Feature(channels[-1], 2**last)]


def crosses(block_type: str) -> bool:
    """Whether a block of the way down has attention to the text."""
    return block_type.startswith("CrossAttn")


def adapter_misfit(adapter: Architecture, unet: Architecture, pixels_a_latent: int) -> str:
    """What keeps an adapter from standing beside a UNet; "" where nothing does."""
    made, wanted = features(adapter), [each._replace(smaller=each.smaller * pixels_a_latent) for each in places(unet)]
    if len(made) in (len(wanted) - 1, len(wanted)) and made == wanted[: len(made)]:
        return ""
    ours, theirs = (", ".join(f"{each.channels} / {each.smaller}" for each in some) for some in (made, wanted))
    kind = adapter.config["adapter_type"]
    return (
        f"is made for {_TYPES[kind]}, by its {kind}: its features are {ours}, and the checkpoint's UNet takes {theirs}"
    )


def _check(components: Mapping[str, Component]) -> None:
    part = components[T2I_ADAPTER]
    path, config = part.file, part.architecture.config
    if (kind := config["adapter_type"]) not in _TYPES:
        raise broken(path, f"adapter_type must be one of {', '.join(_TYPES)}, not {kind!r}")
    if config["in_channels"] not in (1, 3):
        raise broken(path, f"in_channels must be 1 or 3, of a picture in grey or in RGB, not {config['in_channels']}")
    channels = channel_list(path, config, "channels")
    for key, most in (("num_res_blocks", 16), ("downscale_factor", 64)):
        whole_number(path, config, key, high=most)
    inputs = config["in_channels"] * config["downscale_factor"] ** 2
    if kind == LIGHT:
        part.expect_shape("adapter.body.0.in_conv.weight", (channels[0] // 4, inputs, 1, 1), "channels", "in_channels")
    else:
        part.expect_shape("adapter.conv_in.weight", (channels[0], inputs, 3, 3), "channels", "in_channels")


T2I_ADAPTERS = Family(
    name="t2i-adapter",
    title="a T2I-Adapter",
    pipelines=(CLASS,),
    parts={T2I_ADAPTER: Part(T2I_ADAPTER, CLASS)},
    texts=(),
    fields=frozenset(),
    check=_check,
)
