"""LoRA files for tiny checkpoints, random and in the layout of sd-scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from triptych.checkpoint import Checkpoint

_PREFIXES = {"unet": "lora_unet_", "encoder": "lora_te_text_model_"}
_SDXL_PREFIXES = {
    "unet": "lora_unet_",
    "encoder": "lora_te1_text_model_",
    "encoder_2": "lora_te2_text_model_",
}
# What kohya's scripts call otherwise, and diffusers reads under those names alone.
_OTHERWISE = {
    "te2_text_model_text_projection": "te2_text_projection",
    "add_embedding_linear_1": "label_emb_0_0",
    "add_embedding_linear_2": "label_emb_0_2",
}


def save_lora(
    path: Path,
    checkpoint: Path,
    seed: int = 0,
    rank: int = 4,
    models: Sequence[str] = (),
    only: str = "",
    strength: float = 0.15,
) -> Path:
    """Changes every matrix and convolution of `models`, or all, whose name contains `only`; alpha is half the rank."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    components = Checkpoint.open(checkpoint).components
    prefixes = _SDXL_PREFIXES if "encoder_2" in components else _PREFIXES
    for model in models or prefixes:
        for name, info in components[model].weights.items():
            if len(info.shape) < 2 or "embedding.weight" in name or only not in name:
                continue
            key = prefixes[model] + name.removesuffix(".weight").replace(".", "_")
            for name_here, name_there in _OTHERWISE.items():
                key = key.replace(name_here, name_there)
            outputs, *inputs = info.shape
            kernel = [1] * len(inputs[1:])
            down = torch.randn(rank, *inputs, generator=generator)
            tensors[f"{key}.lora_down.weight"] = down * down[0].numel() ** -0.5
            tensors[f"{key}.lora_up.weight"] = torch.randn(outputs, rank, *kernel, generator=generator) * strength
            tensors[f"{key}.alpha"] = torch.tensor(rank / 2)
    save_file(tensors, path)
    return path
