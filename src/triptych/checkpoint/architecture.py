"""What makes two checkpoints the same architecture: a model's class and the configuration that shapes its graph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Configuration keys that no graph of ours depends on.
_SHAPELESS: dict[str, frozenset[str]] = {
    "UNet2DConditionModel": frozenset({"sample_size", "dropout"}),
    "AutoencoderKL": frozenset(
        {"sample_size", "scaling_factor", "shift_factor", "latents_mean", "latents_std", "force_upcast"}
    ),
    "CLIPTextModel": frozenset(
        "architectures attention_dropout bos_token_id dropout dtype eos_token_id gradient_checkpointing "
        "initializer_factor initializer_range model_type pad_token_id projection_dim torch_dtype "
        "transformers_version".split()
    ),
}

# The classes' own defaults: a configuration that spells one out and one that leaves it out are the same architecture.
DEFAULTS: dict[str, dict[str, Any]] = {
    "UNet2DConditionModel": {
        "in_channels": 4,
        "out_channels": 4,
        "center_input_sample": False,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "only_cross_attention": False,
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "downsample_padding": 1,
        "mid_block_scale_factor": 1,
        "act_fn": "silu",
        "norm_num_groups": 32,
        "norm_eps": 1e-05,
        "cross_attention_dim": 1280,
        "transformer_layers_per_block": 1,
        "attention_head_dim": 8,
        "dual_cross_attention": False,
        "use_linear_projection": False,
        "upcast_attention": False,
        "resnet_time_scale_shift": "default",
        "resnet_skip_time_act": False,
        "resnet_out_scale_factor": 1.0,
        "time_embedding_type": "positional",
        "conv_in_kernel": 3,
        "conv_out_kernel": 3,
        "attention_type": "default",
        "class_embeddings_concat": False,
        "addition_embed_type_num_heads": 64,
    },
    "AutoencoderKL": {
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ["DownEncoderBlock2D"],
        "up_block_types": ["UpDecoderBlock2D"],
        "block_out_channels": [64],
        "layers_per_block": 1,
        "act_fn": "silu",
        "latent_channels": 4,
        "norm_num_groups": 32,
        "use_quant_conv": True,
        "use_post_quant_conv": True,
        "mid_block_add_attention": True,
    },
    "CLIPTextModel": {
        "vocab_size": 49408,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-05,
    },
}


@dataclass(frozen=True)
class Architecture:
    """One model of the contract in one shape; `config` holds defaults filled in and nothing shapeless."""

    model: str
    class_name: str
    config: Mapping[str, Any]

    @classmethod
    def of(cls, model: str, class_name: str, config: Mapping[str, Any]) -> Architecture:
        """From a component's `config.json`; keys that are private, null or shapeless are left out."""
        shapeless = _SHAPELESS[class_name]
        given = {k: v for k, v in config.items() if v is not None and not k.startswith("_") and k not in shapeless}
        return cls(model, class_name, {**DEFAULTS[class_name], **given})

    def canonical(self) -> str:
        """The architecture as JSON text that is equal for equal architectures."""
        return json.dumps(
            {"model": self.model, "class_name": self.class_name, "config": self.config}, sort_keys=True, allow_nan=False
        )

    @classmethod
    def from_canonical(cls, text: str) -> Architecture:
        """The inverse of `canonical`."""
        return cls(**json.loads(text))

    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()
