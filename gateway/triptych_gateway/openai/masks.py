"""Masks as that API has them, transparent where a picture is drawn anew, to masks as Triptych has them, white there."""

from __future__ import annotations

import io

from PIL import Image

from triptych.errors import InvalidArgumentError, invalid

_FORMATS = ("PNG", "WEBP")


def white_where_transparent(file: bytes, field: str, max_pixels: int, image: bytes | None = None) -> bytes | None:
    """A PNG; None where no pixel is transparent. InvalidArgumentError where it is not as large as `image`; blocks."""
    try:
        with Image.open(io.BytesIO(file)) as picture:
            if picture.width * picture.height > max_pixels:
                raise invalid(field, f"has more than {max_pixels} pixels")
            if image is not None:
                _check_size(picture.size, field, image)
            if picture.format not in _FORMATS or not picture.has_transparency_data:
                return None
            alpha = picture.convert("RGBA").getchannel("A")
    except InvalidArgumentError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a stranger's bytes lead them to
        raise invalid(field, f"cannot be read as an image: {error}") from error
    if alpha.getextrema()[0] != 0:
        return None
    stream = io.BytesIO()
    alpha.point([255] + [0] * 255).save(stream, "PNG")
    return stream.getvalue()


def _check_size(size: tuple[int, int], field: str, image: bytes) -> None:
    with Image.open(io.BytesIO(image)) as picture:
        if picture.size != size:
            problem = f"is {size[0]}x{size[1]} pixels, and the image {picture.width}x{picture.height}: they must agree"
            raise invalid(field, problem)
