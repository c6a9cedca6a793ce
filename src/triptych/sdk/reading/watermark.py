"""Reads the invisible watermark of a picture, whatever became of its texts.

read_watermark("out.png")   # "ACME", or "" where there is none
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from PIL import Image, ImageMath

from triptych.contract.pictures.watermark import (
    BLOCK,
    LEAST_PIXELS,
    LUMA,
    MESSAGE_BYTES,
    SCALE,
    U_FACTOR,
    text_of,
)
from triptych.errors import invalid
from triptych.sdk.images import ImageInput, image_files

_BITS = 8 * MESSAGE_BYTES
_FORMATS = ["PNG", "JPEG", "WEBP"]


def read_watermark(picture: ImageInput) -> str:
    """The text, or "" where none can be read; InvalidArgumentError about what is no picture."""
    (file,) = image_files(picture, "picture")
    try:
        with Image.open(BytesIO(file), formats=_FORMATS) as image:
            pixels = image.convert("RGB")
    except Exception as error:  # Pillow's decoders raise whatever a stranger's bytes lead them to
        raise invalid("picture", f"cannot be read: {error}") from error
    if pixels.width * pixels.height < LEAST_PIXELS:
        return ""
    votes = [0] * _BITS
    for number, bit in enumerate(_bits(_low_frequencies(pixels))):
        votes[number % _BITS] += 1 if bit else -1
    message = sum((vote > 0) << place for place, vote in enumerate(reversed(votes)))
    return text_of(message.to_bytes(MESSAGE_BYTES, "big"))


def _low_frequencies(pixels: Image.Image) -> Image.Image:
    """Half of what each two by two pixels' U comes to: twice their mean."""
    step = 2 * BLOCK
    whole = pixels.crop((0, 0, pixels.width // step * step, pixels.height // step * step))
    means = {name: band.convert("F").reduce(2) for name, band in zip("rgb", whole.split(), strict=True)}

    def twice_u(of: Any) -> Any:
        luma = of["r"] * LUMA[0] + of["g"] * LUMA[1] + of["b"] * LUMA[2]
        return (of["b"] - luma) * (2 * U_FACTOR) + 256.0

    low: Image.Image = ImageMath.lambda_eval(twice_u, **means)
    return low


def _bits(low: Image.Image) -> Iterator[bool]:
    """What each block says, row by row."""
    values, width = array("f", low.tobytes()), low.width
    for top in range(0, low.height, BLOCK):
        for left in range(0, width, BLOCK):
            starts = range(top * width + left, (top + BLOCK) * width + left, width)
            block = [abs(value) for start in starts for value in values[start : start + BLOCK]]
            yield max(block[1:]) % SCALE > SCALE / 2
