"""The VAE of the original implementation (first_stage_model.): its configuration from shapes, its names by rule."""

from __future__ import annotations

import re
from typing import Any

from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.original.tensors import Tensors

_MIDDLE = {"block_1": "resnets.0", "attn_1": "attentions.0", "block_2": "resnets.1"}
_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_PLAIN = {"norm_out": "conv_norm_out"}
_HALF = re.compile(r"(encoder|decoder)\.(.+)")
_IN_BLOCK = re.compile(r"(?:down|up)\.(\d{1,3})\.block\.(\d{1,3})\.(.+)")
_RESAMPLING = re.compile(r"(down|up)\.(\d{1,3})\.(?:down|up)sample\.conv")
_IN_MIDDLE = re.compile(r"mid\.(block_1|attn_1|block_2)\.(.+)")


def vae_config(tensors: Tensors) -> dict[str, Any]:
    """As diffusers writes it, but for the scaling factor, which no shape tells."""
    blocks = tensors.several("encoder.down.{}.block.0.conv1.weight")
    return {
        "in_channels": tensors.shape("encoder.conv_in.weight", 4)[1],
        "out_channels": tensors.shape("decoder.conv_out.weight", 4)[0],
        "latent_channels": tensors.shape("decoder.conv_in.weight", 4)[1],
        "block_out_channels": [
            tensors.shape(f"encoder.down.{block}.block.0.conv1.weight", 4)[0] for block in range(blocks)
        ],
        "layers_per_block": tensors.several("encoder.down.0.block.{}.conv1.weight"),
        "down_block_types": ["DownEncoderBlock2D"] * blocks,
        "up_block_types": ["UpDecoderBlock2D"] * blocks,
    }


def vae_weights(tensors: Tensors) -> dict[str, TensorInfo]:
    """By diffusers' names, to which the attention's 1x1 convolutions are matrices."""
    blocks = tensors.several("encoder.down.{}.block.0.conv1.weight")
    weights = {}
    for original, info in tensors.by_name.items():
        module, _, parameter = original.rpartition(".")
        name = f"{_diffusers_name(module, blocks)}.{parameter}"
        is_matrix = ".attentions." in name and len(info.shape) > 2 and set(info.shape[2:]) == {1}
        weights[name] = info.reshaped(*info.shape[:2]) if is_matrix else info
    return weights


def _diffusers_name(module: str, blocks: int) -> str:
    """A module's name; the original counts blocks of the way up from the last one."""
    half = _HALF.fullmatch(module)
    if half is None:
        return module
    side, rest = half[1], half[2]
    way = "down" if side == "encoder" else "up"

    def block(number: str) -> int:
        return int(number) if way == "down" else blocks - 1 - int(number)

    if match := _IN_BLOCK.fullmatch(rest):
        layer = match[3].replace("nin_shortcut", "conv_shortcut")
        return f"{side}.{way}_blocks.{block(match[1])}.resnets.{match[2]}.{layer}"
    if match := _RESAMPLING.fullmatch(rest):
        return f"{side}.{way}_blocks.{block(match[2])}.{way}samplers.0.conv"
    if match := _IN_MIDDLE.fullmatch(rest):
        layer = (_ATTENTION if match[1] == "attn_1" else {"nin_shortcut": "conv_shortcut"}).get(match[2], match[2])
        return f"{side}.mid_block.{_MIDDLE[match[1]]}.{layer}"
    return f"{side}.{_PLAIN.get(rest, rest)}"
