"""Random checkpoints in diffusers format, made where they are wanted: speed and memory do not depend on training.

sd15 = ensure_checkpoint(folder / "sd15", SIZES["sd15"])

`python -m triptych.measuring.checkpoints FOLDER NAME` does the same in a process of its own.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

_SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
_INDEX = {
    "feature_extractor": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
_ONE_ENCODER = {
    "_class_name": "StableDiffusionPipeline",
    "requires_safety_checker": False,
    "safety_checker": [None, None],
}
_TWO_ENCODERS = {
    "_class_name": "StableDiffusionXLPipeline",
    "force_zeros_for_empty_prompt": True,
    "image_encoder": [None, None],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
}


@dataclass(frozen=True)
class Size:
    """The models' configurations, as far as they differ from Stable Diffusion 1.5's, and the type of weights.

    `second_text` is of a second text encoder, which Stable Diffusion XL has; without one it is None.
    """

    unet: Mapping[str, Any] = field(default_factory=dict)
    vae: Mapping[str, Any] = field(default_factory=dict)
    text: Mapping[str, Any] = field(default_factory=dict)
    second_text: Mapping[str, Any] | None = None
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float32"


# 860 million parameters in the UNet, 123 in CLIP ViT-L/14's text encoder, 84 in the VAE: 4.3 GB in float32.
SD15 = Size()
# 866 million parameters in the UNet, 340 in OpenCLIP ViT-H's text encoder without its last layer; 768x768.
SD21 = Size(
    unet={
        "sample_size": 96,
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
        "upcast_attention": True,
    },
    vae={"sample_size": 768},
    text={
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "num_attention_heads": 16,
        "hidden_act": "gelu",
    },
    scheduler={"prediction_type": "v_prediction"},
)
# 2567 million parameters in the UNet, 695 in OpenCLIP ViT-bigG/14's text encoder beside CLIP's; 1024x1024, 6.9 GB.
SDXL = Size(
    unet={
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    vae={"sample_size": 1024, "scaling_factor": 0.13025},
    second_text={
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 20,
        "hidden_act": "gelu",
        "projection_dim": 1280,
    },
    dtype="float16",
)
SD15_HALVES = Size(dtype="float16")
# One stage of each kind and next to no arithmetic, but latents of the full size: what is left is the split's own cost.
TINY = Size(
    unet={
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "cross_attention_dim": 32,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    },
    vae={"block_out_channels": (8, 8, 16, 16), "layers_per_block": 1, "norm_num_groups": 4},
    text={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
)
# The same with attention in the blocks that SD 1.5 has it in: a T2I-Adapter's features fit no other.
TINY_SD15 = replace(
    TINY,
    unet={
        **TINY.unet,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    },
)
TINY_SDXL = Size(
    unet={
        **TINY.unet,
        "transformer_layers_per_block": (1, 2),
        "cross_attention_dim": 80,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 72,
    },
    vae=TINY.vae,
    text=TINY.text,
    second_text={**TINY.text, "hidden_size": 48, "intermediate_size": 96, "projection_dim": 24},
    dtype="float16",
)
SIZES = {
    "sd15": SD15,
    "sd15-fp16": SD15_HALVES,
    "sd21": SD21,
    "sdxl": SDXL,
    "tiny": TINY,
    "tiny-sd15": TINY_SD15,
    "tiny-sdxl": TINY_SDXL,
}


def _save_pretrained(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)


def ensure_checkpoint(folder: Path, size: Size, save: Callable[[Any, Path], None] = _save_pretrained) -> Path:
    """The folder, filled by diffusers itself if it is not there yet; it appears whole or not at all.

    Each of its models is made, given to `save` with a folder of its own, and forgotten.
    """
    if folder.is_dir():
        return folder
    building = folder.with_name(f"{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    save_models(building, size, save)
    _save_tokenizer(building / "tokenizer")
    if size.second_text is not None:
        _save_tokenizer(building / "tokenizer_2")
    _save_json(building / "scheduler" / "scheduler_config.json", _SCHEDULER | dict(size.scheduler))
    _save_json(building / "model_index.json", _INDEX | (_TWO_ENCODERS if size.second_text else _ONE_ENCODER))
    return building.rename(folder)


def save_models(folder: Path, size: Size, save: Callable[[Any, Path], None]) -> None:
    """Makes each model, on torch's device of the moment, and gives it to `save` with a folder of its own."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)  # the classes' own random weights keep every output finite
    unet: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768}
    dtype = getattr(torch, size.dtype)
    save(UNet2DConditionModel(**unet | dict(size.unet)).to(dtype), folder / "unet")
    vae: dict[str, Any] = {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "sample_size": 512,
    }
    save(AutoencoderKL(**vae | dict(size.vae)).to(dtype), folder / "vae")
    text: dict[str, Any] = {
        "vocab_size": 49408,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "hidden_act": "quick_gelu",
    }
    save(CLIPTextModel(CLIPTextConfig(**text | dict(size.text))).to(dtype), folder / "text_encoder")
    if size.second_text is not None:
        second = CLIPTextModelWithProjection(CLIPTextConfig(**text | dict(size.second_text)))
        save(second.to(dtype), folder / "text_encoder_2")


def _save_tokenizer(folder: Path) -> None:
    """A CLIP tokenizer of single bytes: any prompt becomes token ids of the vocabulary's lower end."""
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = sorted(ByteLevel.alphabet())
    symbols = [*alphabet, *(symbol + "</w>" for symbol in alphabet), "<|startoftext|>", "<|endoftext|>"]
    special = {"bos_token": symbols[-2], "eos_token": symbols[-1], "pad_token": symbols[-1], "unk_token": symbols[-1]}
    _save_json(folder / "vocab.json", {symbol: token for token, symbol in enumerate(symbols)})
    (folder / "merges.txt").write_text("#version: 0.2\n")
    _save_json(folder / "special_tokens_map.json", special)
    tokenizer = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, **special}
    _save_json(folder / "tokenizer_config.json", tokenizer)


def _save_json(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2))


if __name__ == "__main__":
    ensure_checkpoint(Path(sys.argv[1]), SIZES[sys.argv[2]])
