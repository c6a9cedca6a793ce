"""Pictures that a call brings, made ready for the server: of the shape that is to be drawn, and masks that are white.

Sizes are the server's own work: here pictures are cut, or go on beyond their edges, and become PNGs. What fits already
is sent on untouched.
"""

from __future__ import annotations

import io
from typing import TypeAlias

from PIL import Image, ImageOps

from triptych.errors import invalid

Size: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom

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
    """The largest part in the middle that has the shape."""
    width = min(image.width, max(1, round(image.height * size[0] / size[1])))
    height = min(image.height, max(1, round(image.width * size[1] / size[0])))
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _filled(image: Image.Image, size: Size) -> Image.Image:
    """The whole of it in the middle of `size`; its outermost pixels go on to the edges."""
    if image.width * size[1] == image.height * size[0]:
        return image
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    image = image.resize(inner, Image.Resampling.LANCZOS)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = Image.new(image.mode, size)
    canvas.paste(image, (left, top))
    # Two of these four are nothing, the picture being as wide as the canvas, or as high.
    _stretch(canvas, image, (0, 0, 1, inner[1]), (0, 0, left, size[1]))
    _stretch(canvas, image, (inner[0] - 1, 0, inner[0], inner[1]), (left + inner[0], 0, *size))
    _stretch(canvas, image, (0, 0, inner[0], 1), (0, 0, size[0], top))
    _stretch(canvas, image, (0, inner[1] - 1, inner[0], inner[1]), (0, top + inner[1], *size))
    return canvas


def _stretch(canvas: Image.Image, image: Image.Image, line: Box, to: Box) -> None:
    size = (to[2] - to[0], to[3] - to[1])
    if min(size) > 0:
        canvas.paste(image.crop(line).resize(size, Image.Resampling.NEAREST), to[:2])


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
