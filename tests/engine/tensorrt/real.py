"""Checkpoints in the sizes of Stable Diffusion 1.5, 2.1 base and 2.1: their configurations, and weights that are zeros.

The weights are holes in a sparse file: gigabytes by their headers, kilobytes on the disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from tests.tiny import SD1_SCHEDULER, SD2_SCHEDULER, save_tokenizer
from triptych.checkpoint import Component
from triptych.checkpoint.safetensors import read_header

_UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
}
_UNET_2 = _UNET | {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
    "upcast_attention": True,
}
_VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
}
_TEXT = {"max_position_embeddings": 77, "vocab_size": 49408}
_TEXT_1 = _TEXT | {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "hidden_act": "quick_gelu",
}
_TEXT_2 = _TEXT | {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "hidden_act": "gelu",
}
# A VAE's own sample_size is another than the UNet's in 2.1 base, and in fine-tunes that were given another VAE.
FAMILIES: dict[str, dict[str, dict[str, Any]]] = {
    "sd15": {
        "unet": _UNET | {"sample_size": 64, "attention_head_dim": 8, "cross_attention_dim": 768},
        "vae": _VAE | {"sample_size": 512},
        "text_encoder": _TEXT_1,
    },
    "sd15 with a vae of 256": {
        "unet": _UNET | {"sample_size": 64, "attention_head_dim": 8, "cross_attention_dim": 768},
        "vae": _VAE | {"sample_size": 256},
        "text_encoder": _TEXT_1,
    },
    "sd21 base": {
        "unet": _UNET_2 | {"sample_size": 64},
        "vae": _VAE | {"sample_size": 768},
        "text_encoder": _TEXT_2,
    },
    "sd21": {"unet": _UNET_2 | {"sample_size": 96}, "vae": _VAE | {"sample_size": 768}, "text_encoder": _TEXT_2},
    "sd21 wide": {
        "unet": _UNET_2 | {"sample_size": [32, 96]},
        "vae": _VAE | {"sample_size": 768},
        "text_encoder": _TEXT_2,
    },
}
_CLASSES = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}


def save_checkpoint(folder: Path, family: str) -> Path:
    """A directory that opens; of its weights only those are there that opening looks at, and fillers for the rest."""
    configs = FAMILIES[family]
    hidden, inner = (configs["text_encoder"][key] for key in ("hidden_size", "intermediate_size"))
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "unet": {"conv_in.weight": (320, 4, 3, 3)},
        "vae": {
            "decoder.conv_in.weight": (512, 4, 3, 3),
            "decoder.conv_out.weight": (3, 128, 3, 3),
            "encoder.conv_in.weight": (128, 3, 3, 3),
            "encoder.conv_out.weight": (8, 512, 3, 3),
        },
        "text_encoder": {
            "embeddings.token_embedding.weight": (49408, hidden),
            "embeddings.position_embedding.weight": (77, hidden),
            "encoder.layers.0.mlp.fc1.weight": (inner, hidden),
        },
    }
    for name, config in configs.items():
        part = folder / name
        part.mkdir(parents=True)
        (part / "config.json").write_text(json.dumps(config))
        file = "model.safetensors" if name == "text_encoder" else "diffusion_pytorch_model.safetensors"
        fillers = [f"{half}filler.{number}" for half in ("decoder.", "encoder.", "") for number in range(64)]
        write_zeros(part / file, shapes[name] | dict.fromkeys(fillers, (1,)))
    save_tokenizer(folder / "tokenizer")
    (folder / "scheduler").mkdir()
    scheduler = SD1_SCHEDULER if family.startswith("sd15") else SD2_SCHEDULER
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    index: dict[str, Any] = {name: ["library", kind] for name, kind in _CLASSES.items()}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"} | index))
    return folder


def whole(component: Component) -> Component:
    """The component with every weight that its architecture has."""
    from triptych.engine.modules import build_module, parameter_names

    module = build_module(component.architecture)
    names = parameter_names(module)
    path = component.place / "whole.safetensors"
    write_zeros(path, {names[name]: tuple(parameter.shape) for name, parameter in module.named_parameters()})
    return replace(component, weights=read_header(path))


def write_zeros(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """A safetensors file of float16 tensors."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with path.open("r+b") as stream:
        stream.truncate(8 + len(text) + end)
