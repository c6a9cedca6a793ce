"""Makes docs/images/loras.png: one prompt and seed, painted with the demo checkpoint's LoRAs and without them.

python tools/lora_picture.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

import triptych
from triptych.demo import lora_paths

PROMPT = "a large blue star on a yellow background"
ROW: tuple[tuple[tuple[str, float], ...], ...] = (
    (),
    (("stripes", 0.5),),
    (("stripes", 1.0),),
    (("outline", 1.0),),
    (("stripes", 1.0), ("outline", 1.0)),
    (),  # the first again, byte for byte
)
TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "loras.png"
SEED = 7
GAP = 8


def main() -> int:
    """One picture for each set of LoRAs; 1 if the last is not the first again."""
    with triptych.local(loras=lora_paths()) as client:
        pictures = [
            client.generate(PROMPT, seed=SEED, num_inference_steps=30, guidance_scale=5.0, loras=list(loras)).images[0]
            for loras in ROW
        ]
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width * len(pictures) + GAP * (len(pictures) - 1), height), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index * (width + GAP), 0))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(TARGET, optimize=True)
    return int(pictures[0].tobytes() != pictures[-1].tobytes())


if __name__ == "__main__":
    sys.exit(main())
