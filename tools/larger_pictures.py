"""Makes docs/images/hires.png and docs/images/variations.png with the demo checkpoint.

python tools/larger_pictures.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from PIL import Image

import triptych

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
GAP = 8
# Half as large as what the network has learned to draw.
HIRES: dict[str, Any] = {"prompt": "a large blue star on a yellow background", "seed": 7, "width": 64, "height": 64}
VARIED: dict[str, Any] = {"prompt": "two green circles on a white background", "seed": 3, "subseed": 21}
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# Small networks overdo the colours at the usual 7.5.
COMMON: dict[str, Any] = {"num_inference_steps": 30, "guidance_scale": 5.0}


def save(name: str, pictures: list[Image.Image]) -> None:
    """Side by side."""
    width, height = sum(each.width + GAP for each in pictures) - GAP, max(each.height for each in pictures)
    sheet, left = Image.new("RGB", (width, height), "white"), 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    sheet.save(FOLDER / name, optimize=True)


def main() -> int:
    """A picture, enlarged alone and drawn again in two ways; and the way from one seed to another."""
    with triptych.local() as client:
        ways: list[dict[str, Any]] = [
            {},
            {"upscale": triptych.Upscale(scale=2)},
            {"hires": triptych.Hires(scale=2, upscaler="lanczos", strength=0.4)},
            {"hires": triptych.Hires(scale=2, upscaler="latent", strength=0.7)},
        ]
        save("hires.png", [client.generate(**HIRES, **COMMON, **way).images[0] for way in ways])
        shares = [client.generate(**VARIED, **COMMON, subseed_strength=share).images[0] for share in SHARES]
        save("variations.png", shares)
    return 0


if __name__ == "__main__":
    sys.exit(main())
