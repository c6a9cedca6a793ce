"""The ControlNet of the original implementation (control_model.): its names by rule, and its configuration from shapes.

It is a UNet's way down and middle, so that its names are those of `unet.py`, and a few of its own.
"""

from __future__ import annotations

import re
from typing import Any

from triptych.checkpoint.configs import broken
from triptych.checkpoint.sources.original.tensors import Tensors
from triptych.checkpoint.sources.original.unet import diffusers_name, layers_of_a_block

HINT = "input_hint_block.0.weight"
_HINT_LAYER = re.compile(r"input_hint_block\.(\d{1,3})\.(weight|bias)")
_PLAIN = {
    r"zero_convs\.(\d{1,3})\.0\.": r"controlnet_down_blocks.\1.",
    r"middle_block_out\.0\.": "controlnet_mid_block.",
}
_EMBEDDING = "controlnet_cond_embedding"
_ADDED = "add_embedding.linear_1.weight"
# Of Stable Diffusion XL, by which its ControlNets go that no shape tells it of.
_XL_WIDTH, _XL_TIME_IDS, _XL_NUMBERS_A_TIME_ID = 2048, 6, 256


def in_diffusers_names(original: Tensors) -> Tensors:
    """All that a ControlNet has; what lies in the file besides is left out."""
    layers, last = layers_of_a_block(original), _last_hint_layer(original)
    named = ((_name(name, layers, last), info) for name, info in original.by_name.items())
    return Tensors(original.file, original.prefix, {name: info for name, info in named if name})


def control_net_config(tensors: Tensors) -> dict[str, Any]:
    """As diffusers writes it, of tensors by its names; what is pooled no shape tells."""
    blocks = range(tensors.several("down_blocks.{}.resnets.0.conv1.weight"))
    channels = [tensors.shape(f"down_blocks.{block}.resnets.0.conv1.weight", 4)[0] for block in blocks]
    crossing = [f"down_blocks.{block}.attentions.0.norm.weight" in tensors for block in blocks]
    is_linear = any(name.endswith(".proj_in.weight") and len(info.shape) == 2 for name, info in tensors.by_name.items())
    config = {
        "in_channels": tensors.shape("conv_in.weight", 4)[1],
        "block_out_channels": channels,
        "layers_per_block": tensors.several("down_blocks.0.resnets.{}.conv1.weight"),
        "down_block_types": ["CrossAttnDownBlock2D" if crosses else "DownBlock2D" for crosses in crossing],
        "cross_attention_dim": _text_width(tensors),
        # As the kinds of single files have it: 1.x, whose projections are convolutions, has 8 heads everywhere.
        "attention_head_dim": [max(1, width // 64) for width in channels] if is_linear else 8,
        "use_linear_projection": is_linear,
        **_middle(tensors, crossing),
        **_hint(tensors),
        **(_embedding(tensors) if _ADDED in tensors else {}),
    }
    _check_residuals(tensors, len(channels) * (config["layers_per_block"] + 1))
    return config


def union_config(tensors: Tensors) -> dict[str, Any]:
    """What is a union's besides; how many heads look from one picture to another no shape tells: 8, as all have."""
    types, width = tensors.shape("task_embedding", 2)
    return {
        "num_control_type": types,
        "num_trans_channel": width,
        "num_trans_head": 8,
        "num_trans_layer": tensors.several("transformer_layes.{}.attn.in_proj_weight"),
        "num_proj_channel": tensors.shape("spatial_ch_projs.weight", 2)[0],
    }


def _name(original: str, layers: int, last_hint_layer: int) -> str:
    if match := _HINT_LAYER.fullmatch(original):
        number = int(match[1])
        layer = {0: "conv_in", last_hint_layer: "conv_out"}.get(number, f"blocks.{number // 2 - 1}")
        return f"{_EMBEDDING}.{layer}.{match[2]}"
    for pattern, new in _PLAIN.items():
        if re.match(pattern, original):
            return re.sub(pattern, new, original)
    return diffusers_name(original, layers)


def _last_hint_layer(original: Tensors) -> int:
    return max((int(match[1]) for match in map(_HINT_LAYER.fullmatch, original.by_name) if match), default=0)


def _text_width(tensors: Tensors) -> int:
    attention = next((name for name in tensors.by_name if name.endswith(".attn2.to_k.weight")), "")
    # The smallest of Stable Diffusion XL's look at no text.
    return tensors.shape(attention, 2)[1] if attention or _ADDED not in tensors else _XL_WIDTH


def _middle(tensors: Tensors, crossing: list[bool]) -> dict[str, Any]:
    """Its kind, and how deep all attentions are: in the last block as in the middle."""
    depths = [_depth(tensors, f"down_blocks.{block}") if crosses else 1 for block, crosses in enumerate(crossing)]
    if "mid_block.attentions.0.norm.weight" not in tensors:
        return {"mid_block_type": "UNetMidBlock2D", "transformer_layers_per_block": depths}
    middle = _depth(tensors, "mid_block")
    if crossing[-1] and depths[-1] != middle:
        raise broken(tensors.file, "its last block's attention is not as deep as its middle's, which is not supported")
    return {"transformer_layers_per_block": [*depths[:-1], middle]}


def _depth(tensors: Tensors, block: str) -> int:
    return sum(1 for _ in tensors.counted(f"{block}.attentions.0.transformer_blocks.{{}}.attn1.to_q.weight"))


def _hint(tensors: Tensors) -> dict[str, Any]:
    """Its layers are pairs, of which the second makes the picture smaller."""
    first, channels = tensors.shape(f"{_EMBEDDING}.conv_in.weight", 4)[:2]
    layers = tensors.several(f"{_EMBEDDING}.blocks.{{}}.weight")
    made = [tensors.shape(f"{_EMBEDDING}.blocks.{layer}.weight", 4)[0] for layer in range(1, layers, 2)]
    return {"conditioning_channels": channels, "conditioning_embedding_out_channels": [first, *made]}


def _embedding(tensors: Tensors) -> dict[str, Any]:
    """Of pooled texts and sizes."""
    inputs = tensors.shape(_ADDED, 2)[1]
    if inputs <= _XL_TIME_IDS * _XL_NUMBERS_A_TIME_ID:
        raise broken(tensors.file, f"{_ADDED} takes {inputs} numbers, and that of Stable Diffusion XL's 2816")
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": _XL_NUMBERS_A_TIME_ID,
        "projection_class_embeddings_input_dim": inputs,
    }


def _check_residuals(tensors: Tensors, skips: int) -> None:
    for name in (*(f"controlnet_down_blocks.{place}" for place in range(skips)), "controlnet_mid_block"):
        tensors.shape(f"{name}.weight", 4)
