"""LoRA files for tiny checkpoints, random and in the layout of sd-scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from triptych.checkpoint import Checkpoint

_PREFIXES = {"unet": "lora_unet_", "encoder": "lora_te_text_model_"}


def save_lora(
    path: Path,
    checkpoint: Path,
    seed: int = 0,
    rank: int = 4,
    models: Sequence[str] = ("unet", "encoder"),
    only: str = "",
    strength: float = 0.15,
) -> Path:
    """Changes every matrix and convolution of `models` whose name contains `only`; alpha is half the rank."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for model in models:
        for name, info in Checkpoint.open(checkpoint).components[model].weights.items():
            if len(info.shape) < 2 or "embedding.weight" in name or only not in name:
                continue
            key = _PREFIXES[model] + name.removesuffix(".weight").replace(".", "_")
            outputs, *inputs = info.shape
            kernel = [1] * len(inputs[1:])
            down = torch.randn(rank, *inputs, generator=generator)
            tensors[f"{key}.lora_down.weight"] = down * down[0].numel() ** -0.5
            tensors[f"{key}.lora_up.weight"] = torch.randn(outputs, rank, *kernel, generator=generator) * strength
            tensors[f"{key}.alpha"] = torch.tensor(rank / 2)
    save_file(tensors, path)
    return path
