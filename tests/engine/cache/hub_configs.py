"""Configurations as the hub's checkpoints have them, each with the keys that diffusers wrote at its time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OLDEST: dict[str, Any] = {
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
}
_FLAX = {**_OLDEST, "_class_name": "FlaxUNet2DConditionModel", "_diffusers_version": "0.5.0.dev0", "dropout": 0.0}
_0_6 = {
    **_OLDEST,
    "_class_name": "UNet2DConditionModel",
    "_diffusers_version": "0.6.0",
    "act_fn": "silu",
    "center_input_sample": False,
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
}
_0_10 = {
    **_0_6,
    "_diffusers_version": "0.10.0.dev0",
    "_name_or_path": "./somewhere/unet",
    "dual_cross_attention": False,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "use_linear_projection": False,
}
_0_17 = {
    **_0_10,
    "_diffusers_version": "0.17.0.dev0",
    "addition_embed_type": None,
    "addition_embed_type_num_heads": 64,
    "class_embed_type": None,
    "class_embeddings_concat": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_norm": None,
    "encoder_hid_dim": None,
    "mid_block_only_cross_attention": None,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "projection_class_embeddings_input_dim": None,
    "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False,
    "resnet_time_scale_shift": "default",
    "time_cond_proj_dim": None,
    "time_embedding_act_fn": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "upcast_attention": None,
}
_0_27 = {
    **_0_17,
    "_diffusers_version": "0.27.2",
    "attention_type": "default",
    "dropout": 0.0,
    "encoder_hid_dim_type": None,
    "num_attention_heads": None,
    "reverse_transformer_layers_per_block": None,
    "transformer_layers_per_block": 1,
}
_SD2 = {"attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "use_linear_projection": True}
_SDXL = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "use_linear_projection": True,
}
_REFINER = {
    **_SDXL,
    "attention_head_dim": [6, 12, 24, 24],
    "block_out_channels": [384, 768, 1536, 1536],
    "cross_attention_dim": 1280,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "projection_class_embeddings_input_dim": 2560,
    "transformer_layers_per_block": 4,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
}
UNETS: Mapping[str, Mapping[str, Any]] = {
    "CompVis/stable-diffusion-v1-4": _0_6,
    "CompVis/stable-diffusion-v1-4, flax": _FLAX,
    "runwayml/stable-diffusion-v1-5": _0_6,
    "runwayml/stable-diffusion-inpainting": {**_0_6, "in_channels": 9, "sample_size": 32},
    "timbrooks/instruct-pix2pix": {**_0_10, "in_channels": 8},
    "a fine-tune of 2022": {**_0_10, "sample_size": 32, "upcast_attention": False},
    "a fine-tune of 2023": _0_17,
    "a fine-tune of 2024": _0_27,
    "lists where others have one value": {
        **_0_27,
        "attention_head_dim": [8, 8, 8, 8],
        "cross_attention_dim": [768, 768, 768, 768],
        "layers_per_block": [2, 2, 2, 2],
        "mid_block_scale_factor": 1.0,
        "only_cross_attention": [False, False, False, False],
        "resnet_out_scale_factor": 1,
        "transformer_layers_per_block": [1, 1, 1, 1],
    },
    "stabilityai/stable-diffusion-2": {**_0_10, **_SD2, "sample_size": 96},
    "stabilityai/stable-diffusion-2-base": {**_0_10, **_SD2},
    "stabilityai/stable-diffusion-2-1": {**_0_10, **_SD2, "sample_size": 96, "upcast_attention": True},
    "stabilityai/stable-diffusion-2-1, flax": {**_0_10, **_SD2, "_class_name": "FlaxUNet2DConditionModel"},
    "stabilityai/stable-diffusion-2-1-base": {**_0_10, **_SD2},
    "stabilityai/stable-diffusion-2-inpainting": {**_0_10, **_SD2, "in_channels": 9, "sample_size": 32},
    "stabilityai/stable-diffusion-xl-base-1.0": {**_0_27, **_SDXL},
    "stabilityai/sdxl-turbo": {**_0_27, **_SDXL, "sample_size": 64},
    "a fine-tune of XL": {**_0_27, **_SDXL, "upcast_attention": False},
    "diffusers/stable-diffusion-xl-1.0-inpainting-0.1": {**_0_27, **_SDXL, "in_channels": 9},
    "diffusers/sdxl-instructpix2pix-768": {**_0_27, **_SDXL, "in_channels": 8},
}
REFINERS: Mapping[str, Mapping[str, Any]] = {
    "stabilityai/stable-diffusion-xl-refiner-1.0": {**_0_27, **_REFINER},
    "a refiner with lists": {**_0_27, **_REFINER, "transformer_layers_per_block": [4, 4, 4, 4]},
}

_OLD_VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.6.0",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
VAES: Mapping[str, Mapping[str, Any]] = {
    "CompVis/stable-diffusion-v1-4": _OLD_VAE,
    "CompVis/stable-diffusion-v1-4, flax": {**_OLD_VAE, "_class_name": "FlaxAutoencoderKL"},
    "stabilityai/sd-vae-ft-mse": {**_OLD_VAE, "sample_size": 256},
    "stabilityai/stable-diffusion-2-1": {**_OLD_VAE, "sample_size": 768},
    "stabilityai/stable-diffusion-xl-base-1.0": {
        **_OLD_VAE,
        "force_upcast": True,
        "latents_mean": None,
        "latents_std": None,
        "sample_size": 1024,
        "scaling_factor": 0.13025,
    },
    "madebyollin/sdxl-vae-fp16-fix": {**_OLD_VAE, "force_upcast": False, "sample_size": 512, "scaling_factor": 0.13025},
    "a fine-tune of 2024": {
        **_OLD_VAE,
        "mid_block_add_attention": True,
        "shift_factor": None,
        "use_post_quant_conv": True,
        "use_quant_conv": True,
    },
}

_CLIP_L: dict[str, Any] = {
    "_name_or_path": "openai/clip-vit-large-patch14",
    "architectures": ["CLIPTextModel"],
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "dropout": 0.0,
    "eos_token_id": 2,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "torch_dtype": "float32",
    "transformers_version": "4.23.1",
    "vocab_size": 49408,
}
_OPEN_CLIP_H = {
    **_CLIP_L,
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "projection_dim": 512,
}
OPEN_CLIP_BIG_G: Mapping[str, Any] = {
    **_CLIP_L,
    "architectures": ["CLIPTextModelWithProjection"],
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "projection_dim": 1280,
}
ENCODERS: Mapping[str, Mapping[str, Any]] = {
    "CompVis/stable-diffusion-v1-4": _CLIP_L,
    "runwayml/stable-diffusion-v1-5": {**_CLIP_L, "projection_dim": 768},
    "with learned words in its vocabulary": {**_CLIP_L, "vocab_size": 49411},
    "stabilityai/stable-diffusion-2": _OPEN_CLIP_H,
    "stabilityai/stable-diffusion-2-1-base": {**_OPEN_CLIP_H, "torch_dtype": "float16"},
}
