"""Makes docs/images/hires.png and docs/images/variations.png with the demo checkpoint.

python -m tools.larger_pictures
"""

from __future__ import annotations

import sys
from typing import Any

import triptych
from tools.sheets import save_row

# Half as large as what the network has learned to draw.
HIRES: dict[str, Any] = {"prompt": "a large blue star on a yellow background", "seed": 7, "width": 64, "height": 64}
VARIED: dict[str, Any] = {"prompt": "two green circles on a white background", "seed": 3, "subseed": 21}
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# Small networks overdo the colours at the usual 7.5.
COMMON: dict[str, Any] = {"num_inference_steps": 30, "guidance_scale": 5.0}


def main() -> int:
    """A picture, enlarged alone and drawn again in two ways; and the way from one seed to another."""
    with triptych.local() as client:
        ways: list[dict[str, Any]] = [
            {},
            {"upscale": triptych.Upscale(scale=2)},
            {"hires": triptych.Hires(scale=2, upscaler="lanczos", strength=0.4)},
            {"hires": triptych.Hires(scale=2, upscaler="latent", strength=0.7)},
        ]
        save_row("hires.png", [client.generate(**HIRES, **COMMON, **way).images[0] for way in ways])
        shares = [client.generate(**VARIED, **COMMON, subseed_strength=share).images[0] for share in SHARES]
        save_row("variations.png", shares)
    return 0


if __name__ == "__main__":
    sys.exit(main())
