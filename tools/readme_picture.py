"""Makes docs/images/demo.png, the README's picture: what the demo checkpoint draws, side by side.

python tools/readme_picture.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

import triptych

PROMPTS = (
    "a large blue star on a yellow background",
    "a small red circle on a white background",
    "a large green heart on a pink background",
    "a purple ring on a black background",
)
TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "demo.png"
SEED = 7


def main() -> int:
    """One picture for each prompt, all with the same seed."""
    with triptych.local() as client:
        pictures = [
            client.generate(prompt, seed=SEED, num_inference_steps=30, guidance_scale=5.0).images[0]
            for prompt in PROMPTS
        ]
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width * len(pictures) + 8 * (len(pictures) - 1), height), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index * (width + 8), 0))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(TARGET, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
