"""What makes two checkpoints the same architecture: a model's class and the configuration that shapes its graph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from triptych.contract import TIME_IDS

_CONTROLNET_OPTIONAL: dict[str, Any] = {
    "addition_embed_type": "text",
    "addition_time_embed_dim": 256,
    "class_embed_type": "timestep",
    "encoder_hid_dim": 1024,
    "encoder_hid_dim_type": "text_proj",
    "num_attention_heads": 8,
    "num_class_embeds": 10,
    "projection_class_embeddings_input_dim": 2816,
}

# Keys without a default value that shape a graph all the same, with a value of their kind. Any other key shapes none,
# and the classes ignore it.
OPTIONAL: dict[str, dict[str, Any]] = {
    "UNet2DConditionModel": {
        "addition_embed_type": "text",
        "addition_time_embed_dim": 256,
        "class_embed_type": "timestep",
        "cross_attention_norm": "group_norm",
        "encoder_hid_dim": 1024,
        "encoder_hid_dim_type": "text_proj",
        "mid_block_only_cross_attention": True,
        "num_attention_heads": 8,
        "num_class_embeds": 10,
        "projection_class_embeddings_input_dim": 2816,
        "reverse_transformer_layers_per_block": [1],
        "time_cond_proj_dim": 256,
        "time_embedding_act_fn": "silu",
        "time_embedding_dim": 1280,
        "timestep_post_act": "silu",
    },
    "AutoencoderKL": {},
    "CLIPTextModel": {},
    "CLIPTextModelWithProjection": {},
    "RRDBNet": {},
    "SRVGGNetCompact": {},
    "OnnxNetwork": {},
    "StableDiffusionSafetyChecker": {},
    "IPAdapterImageEncoder": {},
    "ControlNetModel": _CONTROLNET_OPTIONAL,
    "ControlNetUnionModel": _CONTROLNET_OPTIONAL,
    "ControlNetUnionHint": {},
    "ControlNetConditioningEmbedding": {},
    "T2IAdapter": {},
}

_CLIP_TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-05,
}

# Of what CLIP sees pictures with.
_CLIP_VISION: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "projection_dim": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-05,
}

_CONTROLNET: dict[str, Any] = {
    "in_channels": 4,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
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
    "use_linear_projection": False,
    "upcast_attention": False,
    "resnet_time_scale_shift": "default",
    "global_pool_conditions": False,
    "addition_embed_type_num_heads": 64,
}

_HINT: dict[str, Any] = {
    "conditioning_channels": 3,
    "conditioning_embedding_channels": 320,
    "block_out_channels": [16, 32, 96, 256],
    "controlnet_conditioning_channel_order": "rgb",
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
    "CLIPTextModel": _CLIP_TEXT,
    "CLIPTextModelWithProjection": _CLIP_TEXT | {"projection_dim": 512},
    "RRDBNet": {"num_feat": 64, "num_block": 23, "num_grow_ch": 32, "unshuffle": 1, "upsamplings": 2},
    "SRVGGNetCompact": {"num_feat": 64, "num_conv": 16, "scale": 4},
    "OnnxNetwork": {"channels": 3, "height": 0, "width": 0, "outputs": 1},
    "StableDiffusionSafetyChecker": _CLIP_VISION,
    "IPAdapterImageEncoder": _CLIP_VISION
    | {
        "image_projection": "plain",
        "cross_attention_dim": 768,
        "prompt_tokens": 4,
        "resampler_width": 768,
        "resampler_layers": 4,
        "resampler_heads": 12,
    },
    "ControlNetModel": _CONTROLNET | {"mid_block_type": "UNetMidBlock2DCrossAttn"},
    "ControlNetConditioningEmbedding": _HINT,
    "T2IAdapter": {
        "in_channels": 3,
        "channels": [320, 640, 1280, 1280],
        "num_res_blocks": 2,
        "downscale_factor": 8,
        "adapter_type": "full_adapter",
    },
    "ControlNetUnionModel": _CONTROLNET | {"num_control_type": 6},
    "ControlNetUnionHint": _HINT
    | {
        "block_out_channels": [48, 96, 192, 384],
        "num_control_type": 6,
        "num_trans_channel": 320,
        "num_trans_head": 8,
        "num_trans_layer": 1,
        "num_proj_channel": 320,
    },
}


# Keys that say something by being null: without a middle block, the UNet has none.
NULLABLE: dict[str, frozenset[str]] = {
    "UNet2DConditionModel": frozenset({"mid_block_type"}),
    "AutoencoderKL": frozenset(),
    "CLIPTextModel": frozenset(),
    "CLIPTextModelWithProjection": frozenset(),
    "RRDBNet": frozenset(),
    "SRVGGNetCompact": frozenset(),
    "OnnxNetwork": frozenset(),
    "StableDiffusionSafetyChecker": frozenset(),
    "IPAdapterImageEncoder": frozenset(),
    "ControlNetModel": frozenset(),
    "ControlNetConditioningEmbedding": frozenset(),
    "ControlNetUnionModel": frozenset(),
    "ControlNetUnionHint": frozenset(),
    "T2IAdapter": frozenset(),
}

_CONTROLNET_BY_BLOCK = frozenset({"attention_head_dim", "only_cross_attention", "transformer_layers_per_block"})

# Keys that may be one value or a list, with one for each block.
BY_BLOCK: dict[str, frozenset[str]] = {
    "UNet2DConditionModel": frozenset(
        {
            "attention_head_dim",
            "cross_attention_dim",
            "layers_per_block",
            "only_cross_attention",
            "reverse_transformer_layers_per_block",
            "transformer_layers_per_block",
        }
    ),
    "AutoencoderKL": frozenset(),
    "CLIPTextModel": frozenset(),
    "CLIPTextModelWithProjection": frozenset(),
    "RRDBNet": frozenset(),
    "SRVGGNetCompact": frozenset(),
    "OnnxNetwork": frozenset(),
    "StableDiffusionSafetyChecker": frozenset(),
    "IPAdapterImageEncoder": frozenset(),
    "ControlNetModel": _CONTROLNET_BY_BLOCK,
    "ControlNetConditioningEmbedding": frozenset(),
    "ControlNetUnionModel": _CONTROLNET_BY_BLOCK,
    "ControlNetUnionHint": frozenset(),
    "T2IAdapter": frozenset(),
}

# Keys that shape a model but not its graph, which begins behind the table of tokens and is in float32 throughout.
_UNTRACED = frozenset({"vocab_size", "upcast_attention"})


@dataclass(frozen=True)
class Architecture:
    """One model of the contract in one shape; `config` holds defaults filled in and nothing shapeless.

    `time_ids` is how many numbers a UNet is told of a picture, where it is told any: no configuration says so.
    """

    model: str
    class_name: str
    config: Mapping[str, Any]
    time_ids: int = TIME_IDS

    @classmethod
    def of(cls, model: str, class_name: str, config: Mapping[str, Any], time_ids: int = TIME_IDS) -> Architecture:
        """From a component's `config.json`; keys that shape no graph are left out.

        A switch that is null is off, as it is to the classes; any other key that is null takes its default. What means
        the same is spelled the same: one number for as many alike as there are blocks, 1 for 1.0 where the default is.
        """
        defaults, nullable = DEFAULTS[class_name], NULLABLE[class_name]
        shaping = defaults.keys() | OPTIONAL[class_name].keys()
        blocks = config.get("block_out_channels") or defaults.get("block_out_channels")
        single = BY_BLOCK[class_name] & defaults.keys()
        given = {
            key: _as_default(_as_one(value, blocks) if key in single else value, defaults.get(key))
            for key, value in config.items()
            if key in shaping
        }
        stated = {key: value for key, value in given.items() if value is not None or key in nullable}
        return cls(model, class_name, {**defaults, **stated}, time_ids)

    def traced(self) -> Architecture:
        """The one that stands for all architectures with the same graph."""
        defaults = DEFAULTS[self.class_name]
        return replace(self, config={**self.config, **{key: defaults[key] for key in _UNTRACED & self.config.keys()}})

    def canonical(self) -> str:
        """The architecture as JSON text that is equal for equal architectures."""
        said = {"model": self.model, "class_name": self.class_name, "config": self.config}
        unusual = {} if self.time_ids == TIME_IDS else {"time_ids": self.time_ids}
        return json.dumps(said | unusual, sort_keys=True, allow_nan=False)

    @classmethod
    def from_canonical(cls, text: str) -> Architecture:
        """The inverse of `canonical`."""
        return cls(**json.loads(text))

    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


def _as_one(value: Any, blocks: Any) -> Any:
    """A list of one number, or of switches that are off, as often as there are blocks, is that number or switch.

    Switches that are on are not: `only_cross_attention` as a list leaves the middle block out.
    """
    if not isinstance(value, list) or not isinstance(blocks, list) or len(value) != len(blocks):
        return value
    first = value[0]
    is_plain = type(first) is int or first is False
    return first if is_plain and all(type(each) is type(first) and each == first for each in value) else value


def _as_default(value: Any, default: Any) -> Any:
    if value is None and isinstance(default, bool):
        return False
    numbers = (int, float)
    return default if type(value) in numbers and type(default) in numbers and value == default else value
