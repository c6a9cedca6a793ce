from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from triptych_orchestrator.pipeline.images import encode_png


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(png):
        size, name = struct.unpack(">I4s", png[at : at + 8])
        found.append((name, png[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def test_a_png_holds_the_pixels_and_took_little_time() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    png = encode_png(pixels, "a star\nSteps: 4")
    image = Image.open(io.BytesIO(png))
    assert np.array_equal(np.asarray(image), pixels) and image.info["parameters"] == "a star\nSteps: 4"
    data = next(content for name, content in chunks(png) if name == b"IDAT")
    assert data[1] >> 6 == 0  # zlib's FLEVEL: the fastest algorithm
