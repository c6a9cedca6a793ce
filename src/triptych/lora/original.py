"""A UNet module's name in the original implementation, from its diffusers name and the architecture.

The original counts all residual and resampling layers of the way down, and of the way up, in one row; diffusers sorts
them by block. Source: diffusers' own conversion, scripts/convert_diffusers_to_original_sdxl.py.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any

from triptych.checkpoint import Component

_PLAIN = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_MIDDLE = {"resnets.0": "middle_block.0", "attentions.0": "middle_block.1", "resnets.1": "middle_block.2"}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_IN_BLOCK = re.compile(r"(down|up)_blocks\.(\d{1,3})\.(resnets|attentions|downsamplers|upsamplers)\.(\d{1,3})\.(.+)")
_IN_MIDDLE = re.compile(r"mid_block\.(resnets\.[01]|attentions\.0)\.(.+)")


def original_name(component: Component, module: str) -> str | None:
    """The original's name of a UNet's `module`, or None if the original has nothing like it."""
    if module in _PLAIN:
        return _PLAIN[module]
    if match := _IN_MIDDLE.fullmatch(module):
        return f"{_MIDDLE[match[1]]}.{_RESNET.get(match[2], match[2])}"
    match = _IN_BLOCK.fullmatch(module)
    if match is None:
        return None
    way, block, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    layers = _layers(component, way)
    if block >= len(layers):
        return None
    if kind == "resnets":
        rest = _RESNET.get(rest, rest)
    # The row's first place on the way down is the input convolution, and each block but the last ends in a downsampler
    # of its own place; on the way up, an upsampler shares the place of its block's last layer.
    if way == "down":
        start = 1 + _before(layers, block) + block
        place = start + (layers[block] if kind == "downsamplers" else layer)
        return f"input_blocks.{place}.{'1' if kind == 'attentions' else '0'}.{'op' if kind == 'downsamplers' else rest}"
    start = _before(layers, block)
    if kind == "upsamplers":
        attends = any(name.startswith(f"up_blocks.{block}.attentions.") for name in component.weights)
        return f"output_blocks.{start + layers[block] - 1}.{2 if attends else 1}.{rest}"
    return f"output_blocks.{start + layer}.{'1' if kind == 'attentions' else '0'}.{rest}"


def _before(layers: list[int], block: int) -> int:
    return [0, *accumulate(layers)][block]


def _layers(component: Component, way: str) -> list[int]:
    """Residual layers of each block on the way down or up."""
    config = component.architecture.config
    blocks: Any = config["down_block_types"]
    each: Any = config["layers_per_block"]
    counts: list[int] = list(each) if isinstance(each, list | tuple) else [each] * len(blocks)
    return counts if way == "down" else [count + 1 for count in reversed(counts)]
