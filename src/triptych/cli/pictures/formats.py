"""Pictures in the format that a file's ending names, with the parameters that made them where readers look for them.

encode(png, ".jpg")    # the bytes of a JPEG, the PNG's "parameters" in its EXIF data
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

from PIL import Image

from triptych.cli.progress import say

# How Pillow is asked for each; a PNG is kept as the server wrote it. "" is a name without an ending.
_SAVED_AS: dict[str, dict[str, Any] | None] = {
    "": None,
    ".png": None,
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}
ENDINGS = tuple(filter(None, _SAVED_AS))
# A JPEG's segments say their length in 16 bits.
_JPEG_EXIF_LIMIT_BYTES = 65_533


def is_known(ending: str) -> bool:
    """Whether files can be written under such a name: ".jpg", in any case, or "" for none."""
    return ending.lower() in _SAVED_AS


def encode(png: bytes, ending: str) -> bytes:
    """The file's content; a JPEG is written without parameters, and a warning, where they are too long for it."""
    options = _SAVED_AS[ending.lower()]
    if options is None:
        return png
    with Image.open(BytesIO(png), formats=["PNG"]) as image:
        exif = _exif(str(image.info.get("parameters", "")))
        if options["format"] == "JPEG" and len(exif) > _JPEG_EXIF_LIMIT_BYTES:
            say("triptych: warning: the parameters are too long for a JPEG and left out; a PNG or WebP holds them")
            exif = b""
        stream = BytesIO()
        image.save(stream, exif=exif, **options)
    return stream.getvalue()


def _exif(parameters: str) -> bytes:
    """EXIF data of one value, UserComment in UTF-16, as A1111 writes it; Pillow would give it a type of its own.

    Exif 2.32, 4.5 and 4.6: a TIFF header, a directory that leads to Exif's own, and that one's single entry.
    """
    if not parameters:
        return b""
    comment = b"UNICODE\0" + parameters.encode("utf-16-be")
    header = struct.pack(">2sHL", b"MM", 42, 8)
    main = struct.pack(">HHHLLL", 1, 0x8769, 4, 1, 26, 0)
    own = struct.pack(">HHHLLL", 1, 0x9286, 7, len(comment), 44, 0)
    return b"Exif\0\0" + header + main + own + comment
