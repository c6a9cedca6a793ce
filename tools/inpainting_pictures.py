"""Makes docs/images/inpainting.png and outpainting.png: what the demo checkpoint draws in pictures and beside them.

python -m tools.inpainting_pictures
"""

from __future__ import annotations

import sys
from typing import Any

from PIL import Image, ImageDraw

import triptych
from tools.sheets import save_row

PROMPT = "a red heart on a blue background"
GROUND = "a blue background"
SIZE = 128
SEED = 7
COMMON: dict[str, Any] = {"seed": SEED, "num_inference_steps": 30, "guidance_scale": 5.0}


def sketch() -> Image.Image:
    """What is given: a disc on blue."""
    image = Image.new("RGB", (SIZE, SIZE), (35, 80, 220))
    ImageDraw.Draw(image).ellipse((38, 38, 90, 90), "gold")
    return image


def middle() -> Image.Image:
    """The mask: around the disc."""
    mask = Image.new("L", (SIZE, SIZE))
    ImageDraw.Draw(mask).rectangle((24, 24, 103, 103), "white")
    return mask


def inpainted(client: triptych.Client) -> list[Image.Image]:
    """Image and mask, and what is drawn: in the whole image, and in the masked part by itself."""
    given: dict[str, Any] = {"image": sketch(), "mask_image": middle(), "mask_blur": 2, **COMMON}
    prompt = "a red star on a blue background"
    wholly = client.generate(prompt, **given).images[0]
    in_part = client.generate(prompt, **given, padding_mask_crop=0).images[0]
    return [sketch(), middle().convert("RGB"), wholly, in_part]


def outpainted(client: triptych.Client) -> list[Image.Image]:
    """A picture, and the same with more on both sides, begun in each way."""
    image = client.generate(PROMPT, **COMMON).images[0]
    given: dict[str, Any] = {"image": image, "expand": (48, 0, 48, 0), **COMMON}
    return [image, *(client.generate(GROUND, **given, expand_fill=fill).images[0] for fill in ("noise", "copy"))]


def main() -> int:
    """Both sheets."""
    with triptych.local() as client:
        save_row("inpainting.png", inpainted(client))
        save_row("outpainting.png", outpainted(client))
    return 0


if __name__ == "__main__":
    sys.exit(main())
