"""Makes docs/images/tiling.png with the demo checkpoint: a picture laid beside itself, without tiling and with it.

python -m tools.tiling_picture
"""

from __future__ import annotations

import sys
from typing import Any

from PIL import Image

import triptych
from tools.sheets import save_row

REQUEST: dict[str, Any] = {"prompt": "a large orange square on a blue background", "seed": 2}
# Small networks overdo the colours at the usual 7.5.
COMMON: dict[str, Any] = {"num_inference_steps": 30, "guidance_scale": 5.0}


def main() -> int:
    """Two by two of each."""
    with triptych.local() as client:
        made = [client.generate(**REQUEST, **COMMON, tiling=tiling).images[0] for tiling in (None, True)]
    save_row("tiling.png", [_laid_beside_itself(picture) for picture in made])
    return 0


def _laid_beside_itself(picture: Image.Image) -> Image.Image:
    """Twice each way."""
    sheet = Image.new("RGB", (2 * picture.width, 2 * picture.height))
    for left in (0, picture.width):
        for top in (0, picture.height):
            sheet.paste(picture, (left, top))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
