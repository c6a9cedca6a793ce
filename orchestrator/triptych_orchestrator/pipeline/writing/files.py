"""Pictures as PNG, JPEG or WebP, with what was told of them where each format's readers look for it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from triptych.contract.pictures.texts import PARAMETERS, REQUEST, xmp_of
from triptych_orchestrator.jobs.tasks.formats import Format
from triptych_orchestrator.pipeline.writing.exif import exif_of

Pixels = npt.NDArray[np.uint8]

# Pillow's own level, 6, takes up to three times as long, and makes files smaller by 4% (noisy ones) to 20% (flat ones).
_COMPRESS_LEVEL = 1
_JPEG_QUALITY = 95
# Of what a segment, whose length is said in 16 bits, holds besides its name: EXIF's, and the longer one of XMP.
_JPEG_SEGMENT_BYTES = {"exif": 65_533, "xmp": 65_504}


@dataclass(frozen=True)
class Written:
    """A file, and what is worth knowing of it."""

    data: bytes
    warnings: tuple[str, ...] = ()


def write(pixels: Pixels, asked: Format, parameters: str, request: str = "") -> Written:
    """Pixels [H, W, 3] as a file of that format.

    `parameters` is A1111's text, `request` the JSON of a request that makes the same again, if there is one.
    """
    if asked.name == "png":
        texts = {PARAMETERS: parameters, **({REQUEST: request} if request else {})}
        return Written(encode_png(pixels, texts))
    told, warnings = {"exif": exif_of(parameters), **({"xmp": xmp_of(request)} if request else {})}, []
    for name, what in (("exif", "parameters are"), ("xmp", "request is")):
        if asked.name == "jpeg" and len(told.get(name, b"")) > _JPEG_SEGMENT_BYTES[name]:
            del told[name]
            warnings.append(f"the {what} too long for a JPEG and left out; a PNG or a WebP holds all")
    return Written(_encode(pixels, **told, **_options(asked)), tuple(warnings))


def encode_png(pixels: Pixels, texts: dict[str, str] | None = None) -> bytes:
    """A PNG of pixels [H, W, 3], with these texts by their keywords."""
    info = PngImagePlugin.PngInfo()
    for keyword, text in (texts or {}).items():
        info.add_itxt(keyword, text)
    return _encode(pixels, format="PNG", pnginfo=info, compress_level=_COMPRESS_LEVEL)


def _options(asked: Format) -> dict[str, Any]:
    """How Pillow is asked for a format."""
    if asked.name == "jpeg":
        return {"format": "JPEG", "quality": asked.quality or _JPEG_QUALITY, "subsampling": 0}
    if asked.quality is None:
        return {"format": "WEBP", "lossless": True}
    return {"format": "WEBP", "quality": asked.quality}


def _encode(pixels: Pixels, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, **options)
    return stream.getvalue()
