"""Makes docs/images/controlnet.png: outlines, and what is drawn in them with the demo checkpoint's canny ControlNet.

python tools/controlnet_picture.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw

import triptych

SIZE, GAP, SEED = 128, 8, 7
# Corners of what no prompt below names, and no training showed.
HOUSE = [(64, 22), (108, 60), (94, 60), (94, 104), (34, 104), (34, 60), (20, 60)]
ARROW = [(14, 50), (66, 50), (66, 26), (112, 64), (66, 102), (66, 78), (14, 78)]
BOLT = [(76, 12), (30, 72), (60, 72), (48, 116), (100, 52), (68, 52)]
LETTER = [(34, 20), (60, 20), (60, 82), (98, 82), (98, 106), (34, 106)]
ROW = (
    (HOUSE, "a red shape on a white background"),
    (HOUSE, "a yellow shape on a blue background"),
    (ARROW, "a green shape on a black background"),
    (BOLT, "a yellow shape on a purple background"),
    (LETTER, "a white shape on a red background"),
)
TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "controlnet.png"


def main() -> int:
    """One picture for each outline and prompt, the outline above it."""
    with triptych.local() as client:
        columns = [(_outline(corners), _draw(client, corners, prompt)) for corners, prompt in ROW]
    sheet = Image.new("RGB", (SIZE * len(columns) + GAP * (len(columns) - 1), 2 * SIZE + GAP), "white")
    for index, column in enumerate(columns):
        for row, picture in enumerate(column):
            sheet.paste(picture, (index * (SIZE + GAP), row * (SIZE + GAP)))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(TARGET, optimize=True)
    return 0


def _outline(corners: list[tuple[int, int]]) -> Image.Image:
    picture = Image.new("RGB", (SIZE, SIZE))
    ImageDraw.Draw(picture).polygon(corners, outline="white")
    return picture


def _draw(client: triptych.Client, corners: list[tuple[int, int]], prompt: str) -> Image.Image:
    control = triptych.Control("canny", _outline(corners))
    return client.generate(prompt, seed=SEED, guidance_scale=5.0, num_inference_steps=30, controls=[control]).images[0]


if __name__ == "__main__":
    sys.exit(main())
