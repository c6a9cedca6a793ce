"""The texts in a picture's file that say how it was made; strangers' files, of which no pixel is decoded.

texts_of("picture.png").parameters    # A1111's text; "" where there is none
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from triptych.contract.pictures.texts import PARAMETERS, REQUEST, request_in_xmp
from triptych.errors import InvalidArgumentError, invalid
from triptych.sdk.images import ImageInput

_FORMATS = ("PNG", "JPEG", "WEBP")
# Of any one text; Pillow decompresses no more of a PNG's either.
_MOST_CHARACTERS = 1 << 20
_COMFYUI = "prompt"


@dataclass(frozen=True)
class Texts:
    """Triptych's request and ComfyUI's prompt as JSON, A1111's text; "" for what there is none of."""

    request: str = ""
    parameters: str = ""
    workflow: str = ""


def texts_of(picture: ImageInput) -> Texts:
    """InvalidArgumentError where the picture cannot be read, or says more than anybody would."""
    try:
        if isinstance(picture, Image.Image):
            return _texts(picture)
        source = io.BytesIO(picture) if isinstance(picture, bytes) else Path(picture).expanduser()
        with Image.open(source, formats=_FORMATS) as image:
            return _texts(image)
    except InvalidArgumentError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a stranger's bytes lead them to
        shown = "the picture" if isinstance(picture, bytes | Image.Image) else str(picture)
        raise invalid("picture", f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _texts(image: Image.Image) -> Texts:
    info, exif = image.info, _Exif(image)
    packet = info.get("xmp", b"")
    texts = Texts(
        _bounded(str(info.get(REQUEST, "")) or (request_in_xmp(packet) if isinstance(packet, bytes) else "")),
        _bounded(str(info.get(PARAMETERS, "")) or exif.comment()),
        _bounded(str(info.get(_COMFYUI, "")) or exif.workflow()),
    )
    return texts


def _bounded(text: str) -> str:
    if len(text) > _MOST_CHARACTERS:
        raise invalid("picture", f"says more than {_MOST_CHARACTERS} characters of itself")
    return text


class _Exif:
    """The values of a picture that are looked at; each "" where it is missing or damaged."""

    def __init__(self, image: Image.Image) -> None:
        self._exif = image.getexif() if "exif" in image.info else Image.Exif()

    def comment(self) -> str:
        """UserComment, in either order of bytes: A1111 writes the larger first, others do not."""
        comment = _or_none(lambda: self._exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment))
        if not isinstance(comment, bytes):
            return comment if isinstance(comment, str) else ""
        kind, text = comment[:8], comment[8:]
        if kind == b"UNICODE\0":
            readings = [text.decode(each, "replace") for each in ("utf-16-be", "utf-16-le")]
            return next((reading for reading in readings if "Steps: " in reading), readings[0])
        return text.decode("utf-8", "replace") if kind == b"ASCII\0\0\0" else comment.decode("utf-8", "replace")

    def workflow(self) -> str:
        """Where ComfyUI's nodes that write WebP have its prompt."""
        found = _or_none(lambda: self._exif.get(ExifTags.Base.Model))
        return found.removeprefix("prompt:") if isinstance(found, str) and found.startswith("prompt:") else ""


def _or_none(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception:  # as above
        return None
