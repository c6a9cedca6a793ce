"""A request's pictures, from the bytes of a file to pixels of the size that is drawn in, as diffusers prepares them.

size = await reader.size("images[0]", data)
pixels, warnings = await reader.pixels("images[0]", data, width, height)
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from triptych.checkpoint.reading import Readers
from triptych.errors import TriptychError, invalid
from triptych_orchestrator.jobs.jpeg_scans import excess
from triptych_orchestrator.settings import Limits

Value = TypeVar("Value")

# Pillow knows many more, of which some run other programs.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
# Pictures that are decoded at a time, each of up to `max_image_pixels`.
_MOST_THREADS = 2
# Orientations that turn a picture by a quarter (Exif 2.32, 4.6.5).
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
# Of 16 bits to one of 8.
_LEVELS = 257

# The operator's limit stands in its place, and is looked at before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


def field_of(index: int) -> str:
    """What errors and warnings call a request's picture."""
    return f"images[{index}]"


def check_bytes(files: Sequence[bytes], limits: Limits) -> None:
    """InvalidArgumentError where they are more than the operator allows."""
    size_bytes = sum(map(len, files))
    if size_bytes > limits.max_image_bytes:
        problem = f"are {size_bytes} bytes, more than the {limits.max_image_bytes} that this server takes"
        raise invalid("images", problem)


class Grey(NamedTuple):
    """A picture in 8-bit grey, how diffusers resizes it, and what is worth knowing of its file."""

    image: Image.Image
    resampling: Image.Resampling
    warnings: list[str]

    def resized(self, size: tuple[int, int]) -> Image.Image:
        """To width and height."""
        return self.image.resize(size, self.resampling)


class PictureReader:
    """Decodes in a few threads; what is no sound picture within the limits is an InvalidArgumentError."""

    def __init__(self, limits: Limits) -> None:
        self.most_pixels = limits.max_image_pixels
        self._readers = Readers(_MOST_THREADS)

    async def size(self, field: str, data: bytes) -> tuple[int, int]:
        """Width and height as it is to be looked at."""
        return await self.run(lambda: _size(field, data, self.most_pixels))

    async def pixels(self, field: str, data: bytes, width: int, height: int) -> tuple[bytes, list[str]]:
        """RGB, height x width x 3, and what is worth knowing of it."""
        return await self.run(lambda: _pixels(field, data, self.most_pixels, (width, height)))

    async def read(self, images: Sequence[bytes], width: int, height: int) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
        """All pictures of a request in that size, and what is worth knowing of them; none after one that is refused."""
        found = [await self.pixels(field_of(index), data, width, height) for index, data in enumerate(images)]
        return tuple(pixels for pixels, _ in found), tuple(warning for _, warnings in found for warning in warnings)

    async def run(self, work: Callable[[], Value]) -> Value:
        """In one of the few threads that there are for all requests."""
        return await asyncio.wrap_future(self._readers.submit(work))


def _size(field: str, data: bytes, most_pixels: int) -> tuple[int, int]:
    """From the header; a PNG that is not turned by it is decoded, for it may say so behind its pixels."""
    with _opened(field, data, most_pixels) as image:
        # A TIFF has been turned by Pillow already, as far as its size goes.
        turned = image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _TURNED
        return (image.height, image.width) if turned else (image.width, image.height)


def _pixels(field: str, data: bytes, most_pixels: int, size: tuple[int, int]) -> tuple[bytes, list[str]]:
    image, warnings = picture(field, data, most_pixels)
    # diffusers.image_processor.VaeImageProcessor.resize
    return image.resize(size, Image.Resampling.LANCZOS).tobytes(), warnings


def picture(field: str, data: bytes, most_pixels: int) -> tuple[Image.Image, list[str]]:
    """As it is to be looked at, RGB and of its own size, and what is worth knowing of it."""
    image, warnings = _upright(field, data, most_pixels)
    return _flattened(image, "white"), warnings


def mask(field: str, data: bytes, most_pixels: int) -> Grey:
    """A mask as it is to be looked at, of its own size; what is transparent in it is black."""
    image, warnings = _upright(field, data, most_pixels)
    # As Pillow resizes an image whose shades are no scale, whatever it is asked for.
    resampling = Image.Resampling.NEAREST if image.mode in ("1", "P") else Image.Resampling.LANCZOS
    return Grey(_flattened(image, "black").convert("L"), resampling, warnings)


def _upright(field: str, data: bytes, most_pixels: int) -> tuple[Image.Image, list[str]]:
    with _opened(field, data, most_pixels) as image:
        warnings = []
        if getattr(image, "is_animated", False) and image.format != "MPO":  # a camera's, with previews or a second eye
            warnings.append(f"{field} holds several pictures; the first is taken")
        image.load()
        return ImageOps.exif_transpose(image), warnings


@contextmanager
def _opened(field: str, data: bytes, most_pixels: int) -> Iterator[Image.Image]:
    """The file's header, read; whatever goes wrong with it becomes an error about the field."""
    if problem := excess(data):
        raise invalid(field, problem)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > most_pixels:
                problem = f"more than the {most_pixels} pixels that this server takes"
                raise invalid(field, f"is {image.width} x {image.height}, {problem}")
            yield image
    except UnidentifiedImageError:
        raise invalid(field, f"is no picture in a format that is read: {', '.join(_FORMATS)}") from None
    except TriptychError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever a stranger's bytes lead them to
        raise invalid(field, f"is broken or cut off: {error}") from error


def _flattened(image: Image.Image, ground: str) -> Image.Image:
    """As RGB; what is transparent lies on that colour, and 16 bits become 8, where `convert` would cut them off."""
    if image.mode.startswith("I"):
        # In place, for it may be large; nothing lies so near the middle of two shades that float32 would err.
        levels = np.array(image, np.float32)
        np.clip(levels, 0, _LEVELS * 255, out=levels)
        np.rint(np.divide(levels, _LEVELS, out=levels), out=levels)
        image = Image.fromarray(levels.astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    below = Image.new("RGBA", image.size, ground)
    return Image.alpha_composite(below, image.convert("RGBA")).convert("RGB")
