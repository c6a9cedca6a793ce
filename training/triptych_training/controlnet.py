"""Write a trained ControlNet as ``diffusers`` reads it, in fp16.

Usage::

    ControlNetModel.from_pretrained("src/triptych/demo/controlnets/canny")
"""

import shutil
from pathlib import Path
from typing import Final

import torch
from diffusers import ControlNetModel

from triptych_training.export import drop_private_settings

BYTES_LIMIT: Final = 8_000_000


def save_controlnet(controlnet: ControlNetModel, folder: Path) -> int:
    """Write ``controlnet`` to ``folder`` and return its size in bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    controlnet.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    drop_private_settings(folder / "config.json")
    files = [file for file in folder.rglob("*") if file.is_file()]
    for file in files:
        file.chmod(0o644)  # safetensors writes for its own user alone, but servers run as another
    size_bytes = sum(file.stat().st_size for file in files)
    if size_bytes > BYTES_LIMIT:
        raise ValueError(f"the ControlNet holds {size_bytes} bytes, but may hold {BYTES_LIMIT}")
    return size_bytes
