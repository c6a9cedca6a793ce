"""The files that a request's pictures are to be."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.errors import invalid

FORMATS = ("png", "jpeg", "webp")
_DEFAULT = "png"
_BEST = 100


@dataclass(frozen=True)
class Format:
    """One of FORMATS; `quality` None is the format's own."""

    name: str = _DEFAULT
    quality: int | None = None


def format_of(image_format: str, quality: int | None) -> Format:
    """What was asked for; InvalidArgumentError where there is no such format, or none of such a quality."""
    name = image_format or _DEFAULT
    if name not in FORMATS:
        raise invalid("image_format", f"{image_format!r} is not one of {', '.join(FORMATS)}")
    if quality is None:
        return Format(name)
    if name == _DEFAULT:
        raise invalid("quality", "is a JPEG's or a WebP's, which image_format would ask for; a PNG loses nothing")
    if not 1 <= quality <= _BEST:
        raise invalid("quality", f"must be from 1 to {_BEST}, not {quality}")
    return Format(name, quality)
