"""Pictures with texts in them, as programs write them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from triptych.contract.pictures.texts import xmp_of


def png(**texts: str) -> bytes:
    info, stream = PngInfo(), io.BytesIO()
    for keyword, text in texts.items():
        info.add_itxt(keyword, text)
    Image.new("RGB", (8, 8)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def other(kind: str, comment: bytes = b"", request: str = "", model: str = "") -> bytes:
    """A JPEG or a WebP."""
    exif, stream, options = Image.Exif(), io.BytesIO(), dict[str, Any]()
    if comment:
        exif.get_ifd(0x8769)[0x9286] = comment
    if model:
        exif[0x0110] = model
    if request:
        options["xmp"] = xmp_of(request)
    Image.new("RGB", (8, 8)).save(stream, kind, exif=exif, **options)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one chunk more, behind its header."""
    end = 8 + 25
    return data[:end] + chunk(kind, content) + data[end:]
