"""Pictures that a call brings, made ready for the server: of the shape that is to be drawn, and masks that are white.

Sizes are the server's own work: here pictures are cut, or go on beyond their edges, and become PNGs. What fits already
is sent on untouched.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TypeAlias

from PIL import Image, ImageOps

from triptych.errors import invalid

Size: TypeAlias = tuple[int, int]

JUST_RESIZE, CROP, FILL, LATENT = 0, 1, 2, 3
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
# From which on a mask's alpha counts, where a mask has any: half, as the web UI has it.
_HALF = 128


def shaped(field: str, file: bytes, mode: int, size: Size, most_pixels: int) -> bytes:
    """The picture as wide for its height as `size` is, by the web UI's resize mode."""
    if mode == JUST_RESIZE:
        return file
    image = _upright(field, file, most_pixels)
    shape = _cropped if mode == CROP else _filled
    made = shape(image, size)
    return file if made is image else _png(made)


def extent(field: str, file: bytes, most_pixels: int) -> Size:
    """Width and height of a picture, which can be read."""
    return _upright(field, file, most_pixels).size


def white_mask(field: str, file: bytes, most_pixels: int) -> bytes:
    """The mask with white for what is to be drawn: where one has transparency, all that is not transparent."""
    image = _upright(field, file, most_pixels)
    if not image.has_transparency_data:
        return file
    alpha = image.convert("RGBA").getchannel("A")
    if alpha.getextrema() == (255, 255):
        return file
    return _png(alpha.point(lambda value: 255 if value >= _HALF else 0))


def whole_mask() -> bytes:
    """White everywhere, whatever the size."""
    return _png(Image.new("L", (8, 8), "white"))


def _cropped(image: Image.Image, size: Size) -> Image.Image:
    """The largest part in the middle."""
    width, height = _within(image.size, size)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _filled(image: Image.Image, size: Size) -> Image.Image:
    """In the middle of a larger one, the outermost pixels going on to its edges."""
    width, height = _around(image.size, size)
    if (width, height) == image.size:
        return image
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    left, top = (width - image.width) // 2, (height - image.height) // 2
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(image, (left, top))
    # One of the two is 0, and what is pasted there is nothing.
    _stretch(canvas, image, (0, 0, 1, image.height), (0, 0, left, height))
    _stretch(canvas, image, (image.width - 1, 0, image.width, image.height), (left + image.width, 0, width, height))
    _stretch(canvas, image, (0, 0, image.width, 1), (0, 0, width, top))
    _stretch(canvas, image, (0, image.height - 1, image.width, image.height), (0, top + image.height, width, height))
    return canvas


def _stretch(canvas: Image.Image, image: Image.Image, line: tuple[int, ...], to: tuple[int, int, int, int]) -> None:
    size = (to[2] - to[0], to[3] - to[1])
    if min(size) > 0:
        canvas.paste(image.crop(line).resize(size, Image.Resampling.NEAREST), to[:2])  # type: ignore[arg-type]


def _within(own: Size, size: Size) -> Size:
    """The largest of that shape within."""
    return _fitted(own, size, min)


def _around(own: Size, size: Size) -> Size:
    """The smallest of that shape around."""
    return _fitted(own, size, max)


def _fitted(own: Size, size: Size, choose: Callable[[int, int], int]) -> Size:
    wide = max(1, round(own[1] * size[0] / size[1]))
    high = max(1, round(own[0] * size[1] / size[0]))
    return (choose(own[0], wide), own[1]) if choose(own[0], wide) != own[0] else (own[0], choose(own[1], high))


def _upright(field: str, file: bytes, most_pixels: int) -> Image.Image:
    """Decoded, and turned as it is to be looked at; InvalidArgumentError about the field where it cannot be."""
    try:
        with Image.open(io.BytesIO(file), formats=_FORMATS) as image:
            if image.width * image.height <= most_pixels:
                image.load()
                return _of_8_bits(ImageOps.exif_transpose(image))
            problem = f"is {image.width} x {image.height}, more than the {most_pixels} pixels that this server takes"
    except Exception as error:  # Pillow's decoders raise whatever a stranger's bytes lead them to
        raise invalid(field, f"is no picture that can be read: {error}") from error
    raise invalid(field, problem)


def _of_8_bits(image: Image.Image) -> Image.Image:
    return image.convert("I").point(lambda value: value / 256).convert("L") if image.mode.startswith("I") else image


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
