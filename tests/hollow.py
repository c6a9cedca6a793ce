"""Checkpoints of real sizes whose weights are zeros that lie on no disk, and an environment without torch."""

from __future__ import annotations

import json
import math
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from triptych.measuring.checkpoints import Size, ensure_checkpoint

TORCH = ("torch", "diffusers", "transformers", "onnxscript", "peft", "accelerate")
_TYPES = {torch.float32: ("F32", 4), torch.float16: ("F16", 2)}


def save_hollow(folder: Path, size: Size) -> Path:
    """A checkpoint as diffusers would save it, in files that are all hole behind their headers."""
    with torch.device("meta"):
        return ensure_checkpoint(folder, size, _save_zeros)


def _save_zeros(model: Any, folder: Path) -> None:
    is_text = hasattr(model.config, "save_pretrained")
    (model.config.save_pretrained if is_text else model.save_config)(folder)
    file = folder / ("model.safetensors" if is_text else "diffusion_pytorch_model.safetensors")
    write_zeros(file, {name: tuple(value.shape) for name, value in model.state_dict().items()}, model.dtype)


def write_zeros(file: Path, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype) -> None:
    """A safetensors file of these tensors."""
    name, item_bytes = _TYPES[dtype]
    header: dict[str, Any] = {}
    end = 0
    for tensor, shape in shapes.items():
        start, end = end, end + math.prod(shape) * item_bytes
        header[tensor] = {"dtype": name, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    with file.open("r+b") as stream:
        stream.truncate(8 + len(text) + end)


def environment_without_torch(folder: Path) -> Path:
    """The Python of an environment with links to all that this one has, but for torch and what comes with it."""
    venv.create(folder, symlinks=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    own = []
    for place in map(Path, sys.path):
        if place.name not in ("site-packages", "dist-packages"):
            own += [str(place)] if place.is_absolute() and not place.is_relative_to(sys.base_prefix) else []
            continue
        for path in place.iterdir():
            link = site_packages / path.name
            if path.suffix != ".pth" and not path.name.startswith(TORCH) and not link.exists():
                link.symlink_to(path)
    (site_packages / "own.pth").write_text("\n".join(own))
    return folder / "bin" / "python"
