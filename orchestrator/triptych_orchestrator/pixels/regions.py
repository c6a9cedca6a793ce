"""The part of a picture that is drawn by itself, larger than it is: diffusers' `padding_mask_crop`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]

# Pixels of what is resized whole and then cut, as diffusers does it. Of a line in a long picture that would be all the
# memory there is, so that more is cut first, which differs in the order of roundings.
_MOST_COVERING = 1 << 24


class Box(NamedTuple):
    """Pixels from left to right and top to bottom; right and bottom are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> Size:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top


def region(mask: Image.Image, padding: int, size: Size) -> Box:
    """All that is not black and so many pixels around it, made as wide for its height as `size` is, as far as it goes.

    The mask has some. diffusers.image_processor.VaeImageProcessor.get_crop_region
    """
    masked = np.asarray(mask) != 0
    left, right = _padded(np.flatnonzero(masked.any(axis=0)), padding, mask.width)
    top, bottom = _padded(np.flatnonzero(masked.any(axis=1)), padding, mask.height)
    width, height, ratio = right - left, bottom - top, size[0] / size[1]
    if width / height > ratio:
        top, bottom = _longer(top, bottom, int(width / ratio - height), mask.height)
    else:
        left, right = _longer(left, right, int(height * ratio - width), mask.width)
    return Box(left, top, right, bottom)


def _padded(at: NDArray[np.intp], padding: int, most: int) -> tuple[int, int]:
    return max(int(at[0]) - padding, 0), min(int(at[-1]) + 1 + padding, most)


def _longer(low: int, high: int, by: int, most: int) -> tuple[int, int]:
    """To both sides, and to one alone where the other is at its end."""
    low, high = low - by // 2, high + by - by // 2
    if high >= most:
        low, high = low - (high - most), most
    if low < 0:
        low, high = 0, high - low
    return low, min(high, most)


def fitted(image: Image.Image, size: Size) -> Image.Image:
    """Resized to lie within `size` as a whole, in the middle; its outermost lines go on to the edges."""
    inner = _scaled(image.size, size, covers=False)
    resized, canvas = image.resize(inner, Image.Resampling.LANCZOS), Image.new(image.mode, size)
    left, top = (outer // 2 - own // 2 for outer, own in zip(size, inner, strict=True))
    canvas.paste(resized, (left, top))
    if top > 0:
        canvas.paste(resized.resize((size[0], top), box=(0, 0, inner[0], 0)), (0, 0))
        canvas.paste(resized.resize((size[0], top), box=(0, inner[1], *inner)), (0, top + inner[1]))
    elif left > 0:
        canvas.paste(resized.resize((left, size[1]), box=(0, 0, 0, inner[1])), (0, 0))
        canvas.paste(resized.resize((left, size[1]), box=(inner[0], 0, *inner)), (left + inner[0], 0))
    return canvas


def covering(image: Image.Image, size: Size) -> Image.Image:
    """Resized to cover `size`; what is too much is cut off both ends."""
    inner = _scaled(image.size, size, covers=True)
    if inner[0] * inner[1] > _MOST_COVERING:
        (left, right), (top, bottom) = map(_seen, image.size, inner, size)
        return image.resize(size, Image.Resampling.LANCZOS, box=(left, top, right, bottom))
    canvas = Image.new(image.mode, size)
    left, top = (outer // 2 - own // 2 for outer, own in zip(size, inner, strict=True))
    canvas.paste(image.resize(inner, Image.Resampling.LANCZOS), (left, top))
    return canvas


def _seen(own: int, inner: int, outer: int) -> tuple[float, float]:
    """Where, of an extent that is made another, the middle lies that is kept."""
    start = inner // 2 - outer // 2
    return start * own / inner, min((start + outer) * own / inner, own)


def _scaled(own: Size, size: Size, *, covers: bool) -> Size:
    """The own size, as wide as the other or as high; a line of pixels at least."""
    ratio, own_ratio = size[0] / size[1], own[0] / own[1]
    if ratio > own_ratio if covers else ratio < own_ratio:
        return size[0], max(1, own[1] * size[0] // own[0])
    return max(1, own[0] * size[1] // own[1]), size[1]
