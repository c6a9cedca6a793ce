"""Random ControlNets in diffusers' layout for the checkpoints of `triptych.measuring.checkpoints`, and a picture.

net = ensure_controlnet(folder / "sd15-controlnet", SIZES["sd15"])

python -m triptych.measuring.controlnets FOLDER SIZE makes one.
"""

from __future__ import annotations

import inspect
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from triptych.measuring.checkpoints import SIZES, Size

_STANDARD_DEVIATION = 0.02


def ensure_controlnet(folder: Path, size: Size) -> Path:
    """The folder, made if it is not there; it appears whole or not at all."""
    if not folder.is_dir():
        building = folder.with_name(f"{folder.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        _made(size).save_pretrained(building)
        building.rename(folder)
    return folder


def edges(size: int) -> Image.Image:
    """White outlines on black."""
    image = Image.new("RGB", (size, size))
    draw = ImageDraw.Draw(image)
    for share in (1, 2, 3):
        margin = share * size // 8
        draw.ellipse((margin, margin, size - margin, size - margin), outline="white", width=2)
    return image


def _made(size: Size) -> Any:
    """One that adds something: diffusers' begin with zeros, as training does."""
    import torch
    from diffusers import ControlNetModel

    torch.manual_seed(0)
    known = inspect.signature(ControlNetModel.__init__).parameters
    shared = {name: value for name, value in size.unet.items() if name in known}
    net = ControlNetModel(**{"cross_attention_dim": 768} | shared)
    for layer in [*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out]:
        torch.nn.init.normal_(layer.weight, std=_STANDARD_DEVIATION)
    return net.to(getattr(torch, size.dtype))


if __name__ == "__main__":
    ensure_controlnet(Path(sys.argv[1]), SIZES[sys.argv[2]])
