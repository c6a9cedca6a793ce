"""The UNet of the original implementation (model.diffusion_model.): its configuration from shapes, its names by rule.

The original counts all residual and resampling layers of the way down, and of the way up, in one row; diffusers sorts
them by block.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from triptych.checkpoint.configs import broken
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.original.tensors import Tensors

_PLAIN = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
_PLACE = re.compile(r"(input_blocks|output_blocks)\.(\d{1,3})\.(\d)\.(.+)")
_IN_MIDDLE = re.compile(r"middle_block\.([012])\.(.+)")
_LAYER_WIDTH = "out_layers.3.weight"


@dataclass(frozen=True)
class _Layer:
    """A residual layer's channels, and how many transformer blocks follow it."""

    channels: int
    depth: int


def unet_config(tensors: Tensors, heads: int | None) -> dict[str, Any]:
    """As diffusers writes it; `heads` for every attention, None: as many as there are 64 channels."""
    blocks = _blocks(tensors)
    channels, depths = [block[0].channels for block in blocks], [block[0].depth for block in blocks]
    middle = _depth(tensors, "middle_block.1")
    attention = next((name for name in tensors.by_name if name.endswith(".attn2.to_k.weight")), "")
    if not middle or (depths[-1] or middle) != middle or not _is_even(blocks):
        raise broken(tensors.file, "its UNet's blocks are not alike within themselves; distilled kin are not supported")
    depths[-1] = middle
    embedded = {} if "label_emb.0.0.weight" not in tensors else _embedding(tensors)
    return embedded | {
        "in_channels": tensors.shape("input_blocks.0.0.weight", 4)[1],
        "out_channels": tensors.shape("out.2.weight", 4)[0],
        "block_out_channels": channels,
        "layers_per_block": len(blocks[0]),
        "down_block_types": ["CrossAttnDownBlock2D" if block[0].depth else "DownBlock2D" for block in blocks],
        "up_block_types": ["CrossAttnUpBlock2D" if block[0].depth else "UpBlock2D" for block in reversed(blocks)],
        "cross_attention_dim": tensors.shape(attention, 2)[1],
        "attention_head_dim": heads or [max(1, width // 64) for width in channels],
        "use_linear_projection": len(tensors.shape("middle_block.1.proj_in.weight")) == 2,
        # diffusers' own configurations say one number where every block with attention has it.
        "transformer_layers_per_block": middle
        if {depth for depth in depths if depth} == {middle}
        else [depth or 1 for depth in depths],
    }


def unet_weights(tensors: Tensors) -> dict[str, TensorInfo]:
    """By diffusers' names; what the original has besides is left out."""
    layers = layers_of_a_block(tensors)
    named = ((diffusers_name(name, layers), info) for name, info in tensors.by_name.items())
    return {name: info for name, info in named if name}


def layers_of_a_block(tensors: Tensors) -> int:
    """How many residual layers each block of the way down has."""
    return len(_blocks(tensors)[0])


def diffusers_name(original: str, layers: int) -> str:
    """A parameter's name, with so many residual layers in a block of the way down; "" for what it does not have."""
    module, _, parameter = original.rpartition(".")
    if module in _PLAIN:
        return f"{_PLAIN[module]}.{parameter}"
    if match := _IN_MIDDLE.fullmatch(module):
        return f"mid_block.{_MIDDLE[match[1]]}.{_RESNET.get(match[2], match[2])}.{parameter}"
    match = _PLACE.fullmatch(module)
    if match is None:
        return ""
    way, place, kind, rest = match[1], int(match[2]), match[3], match[4]
    if way == "input_blocks":
        block, layer = divmod(place - 1, layers + 1)
        stem = f"down_blocks.{block}"
        if rest == "op":
            return f"{stem}.downsamplers.0.conv.{parameter}"
    else:
        block, layer = divmod(place, layers + 1)
        stem = f"up_blocks.{block}"
        if kind != "0" and rest == "conv":  # after the attention where the block has one, in its place where not
            return f"{stem}.upsamplers.0.conv.{parameter}"
    if kind == "0":
        return f"{stem}.resnets.{layer}.{_RESNET.get(rest, rest)}.{parameter}"
    return f"{stem}.attentions.{layer}.{rest}.{parameter}"


def _blocks(tensors: Tensors) -> list[list[_Layer]]:
    """The way down: each block but the last ends in a resampling layer."""
    blocks: list[list[_Layer]] = [[]]
    for place in count(1):
        stem = f"input_blocks.{place}"
        if f"{stem}.0.op.weight" in tensors:
            blocks.append([])
        elif f"{stem}.0.{_LAYER_WIDTH}" in tensors:
            channels = tensors.shape(f"{stem}.0.{_LAYER_WIDTH}", 4)[0]
            blocks[-1].append(_Layer(channels, _depth(tensors, f"{stem}.1")))
        else:
            break
    if not all(blocks):
        tensors.shape(f"input_blocks.{place}.0.{_LAYER_WIDTH}")
    return blocks


def _depth(tensors: Tensors, stem: str) -> int:
    return sum(1 for _ in tensors.counted(f"{stem}.transformer_blocks.{{}}.attn1.to_q.weight"))


def _is_even(blocks: Sequence[Sequence[_Layer]]) -> bool:
    return all(set(block) == {block[0]} and len(block) == len(blocks[0]) for block in blocks)


def _embedding(tensors: Tensors) -> dict[str, Any]:
    """Of pooled texts and sizes."""
    inputs = tensors.shape("label_emb.0.0.weight", 2)[1]
    return {"addition_embed_type": "text_time", "projection_class_embeddings_input_dim": inputs}
