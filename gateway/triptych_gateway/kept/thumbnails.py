"""Small pictures of pictures, for a gallery: made when they are first asked for, and kept beside."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from triptych_gateway.kept.records import write_file

SIDE = 320
MEDIA_TYPE = "image/webp"


def thumbnail(path: Path) -> bytes:
    """At most `SIDE` pixels each way; FileNotFoundError where the picture is gone."""
    kept = path.with_suffix(".thumbnail")
    if kept.exists():
        return kept.read_bytes()
    with Image.open(path, formats=["PNG", "JPEG", "WEBP"]) as image:
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    small.save(stream, "WEBP", quality=85)
    write_file(kept, stream.getvalue())
    return stream.getvalue()
