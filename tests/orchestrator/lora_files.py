"""Small LoRA files for the tests: a few modules each, by any name and shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

RANK = 2


def save_lora(path: Path, shapes: dict[str, tuple[int, int]], seed: int = 0) -> Path:
    """A file in kohya's layout; `shapes` maps modules to (out, in) of the matrices that they change."""
    random = np.random.default_rng(seed)
    tensors = {}
    for module, (rows, columns) in shapes.items():
        tensors[f"{module}.lora_down.weight"] = random.standard_normal((RANK, columns), np.float32)
        tensors[f"{module}.lora_up.weight"] = random.standard_normal((rows, RANK), np.float32)
        tensors[f"{module}.alpha"] = np.array(RANK, np.float32)
    save_file(tensors, path)
    return path


def any_lora(folder: Path, name: str = "ink", seed: int = 0) -> Path:
    """A sound file that fits no checkpoint."""
    return save_lora(folder / f"{name}.safetensors", {"lora_unet_somewhere_to_q": (8, 8)}, seed)
