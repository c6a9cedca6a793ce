"""Makes docs/images/image-to-image.png: a picture that is drawn anew by the demo checkpoint, more and more of it.

python tools/image_to_image_picture.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw

import triptych

PROMPT = "a red heart on a blue background"
STRENGTHS = (0.2, 0.35, 0.5, 0.8)
TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "image-to-image.png"
SIZE = 128
SEED = 7
GAP = 8


def sketch() -> Image.Image:
    """What is given: two discs and a triangle, by hand as it were."""
    image = Image.new("RGB", (SIZE, SIZE), "lightyellow")
    draw = ImageDraw.Draw(image)
    for left in (14, 40):
        draw.ellipse((left, 44, left + 30, 74), "orange")
    draw.polygon([(16, 64), (68, 64), (42, 100)], "orange")
    return image


def main() -> int:
    """The sketch, and one picture for each strength."""
    pictures = [sketch()]
    with triptych.local() as client:
        pictures += [
            client.generate(
                PROMPT, image=sketch(), strength=strength, seed=SEED, num_inference_steps=30, guidance_scale=5.0
            ).images[0]
            for strength in STRENGTHS
        ]
    sheet = Image.new("RGB", (SIZE * len(pictures) + GAP * (len(pictures) - 1), SIZE), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index * (SIZE + GAP), 0))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(TARGET, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
