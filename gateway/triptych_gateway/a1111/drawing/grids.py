"""All pictures of a call in one."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, PngImagePlugin

from triptych.contract.pictures.texts import PARAMETERS


def grid(files: Sequence[bytes], infotext: str) -> bytes:
    """A PNG of about as many rows as columns, that says how the first of them was made."""
    pictures = [Image.open(io.BytesIO(file)) for file in files]
    rows = round(math.sqrt(len(pictures)))
    columns = math.ceil(len(pictures) / rows)
    width, height = (max(extents) for extents in zip(*(each.size for each in pictures), strict=True))
    canvas = Image.new("RGB", (columns * width, rows * height))
    for index, each in enumerate(pictures):
        canvas.paste(each, (index % columns * width, index // columns * height))
    texts, stream = PngImagePlugin.PngInfo(), io.BytesIO()
    texts.add_itxt(PARAMETERS, infotext)
    canvas.save(stream, "PNG", pnginfo=texts, compress_level=1)
    return stream.getvalue()
