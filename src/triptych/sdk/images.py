"""The images of a request, from what a caller has of them to the bytes of files.

image_files(Image.open("photo.jpg"))          # one
image_files(["a.png", Path("b.jpg"), data])   # several
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image, ImageOps

from triptych.errors import invalid
from triptych.v1.generation_pb2 import GenerateRequest

ImageInput: TypeAlias = Image.Image | str | os.PathLike[str] | bytes
"""A PIL image, a file's path, or a file's bytes."""

# The generation parameters that are images, each with the request's field.
IMAGE_FIELDS = {"image": "images", "mask_image": "mask_images"}

# What a PNG can hold; other modes are sent as the nearest of these.
_PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
# A local server decodes it again at once.
_COMPRESS_LEVEL = 1


def add_images(request: GenerateRequest, images: Mapping[str, Any]) -> None:
    """Gives a request what a caller has of images, by the parameters' names; None is none."""
    for field, given in images.items():
        if given is not None:
            getattr(request, IMAGE_FIELDS[field]).extend(image_files(given, field))


def image_files(images: ImageInput | Sequence[ImageInput], field: str = "image") -> list[bytes]:
    """Each image as a file; a PIL image as a PNG, turned as its EXIF data says. Errors are about the field.

    Raises:
        InvalidArgumentError: a file cannot be read, something is no image, or there is none.
    """
    if isinstance(images, Image.Image | str | os.PathLike | bytes):
        return [_file(images, field)]
    if not isinstance(images, Sequence):
        raise invalid(field, f"must be a PIL image, a path, bytes, or a list of such, not {type(images).__name__}")
    if not images:
        raise invalid(field, "is an empty list; give at least one, or None to do without")
    return [_file(image, field) for image in images]


def _file(image: Any, field: str) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, Image.Image):
        return _png(image, field)
    try:
        return Path(image).expanduser().read_bytes()
    except TypeError as error:
        raise invalid(field, f"must be a PIL image, a path or bytes, not {type(image).__name__}") from error
    except (OSError, ValueError) as error:
        raise invalid(field, f"cannot read {str(image)!r}: {getattr(error, 'strerror', None) or error}") from error


def _png(image: Image.Image, field: str) -> bytes:
    stream = io.BytesIO()
    try:
        _with_png_mode(ImageOps.exif_transpose(image)).save(stream, "PNG", compress_level=_COMPRESS_LEVEL)
    except (OSError, SyntaxError, ValueError) as error:  # of Pillow, which may read the picture only now
        raise invalid(field, f"cannot be made a PNG: {error}") from error
    return stream.getvalue()


def _with_png_mode(image: Image.Image) -> Image.Image:
    if image.mode in _PNG_MODES:
        return image
    if image.mode.startswith("I"):  # whose shades are 16 bits, in one order of bytes or another, or in 32
        return image.convert("I").convert("I;16")
    if image.mode == "La":
        return image.convert("LA")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
