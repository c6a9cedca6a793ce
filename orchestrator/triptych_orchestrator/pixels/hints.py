"""How a picture for a ControlNet comes to the size of what is drawn: the resize modes of A1111's extension.

Maps are not resized as photographs are: two colours stay two, labels are not mixed, and lines one pixel wide stay so.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Size = tuple[int, int]

JUST_RESIZE, CROP_AND_RESIZE, RESIZE_AND_FILL = "just_resize", "crop_and_resize", "resize_and_fill"
RESIZE_MODES = (JUST_RESIZE, CROP_AND_RESIZE, RESIZE_AND_FILL)

# Of a map of labels; a picture has more colours.
_MOST_LABELS = 199
# Darker and lighter than these are black and white.
_BLACK, _WHITE = 16, 240
_SQUARE = np.ones((3, 3), np.uint8)
# Across, down and along both diagonals.
_LINES = tuple(np.array(line, np.uint8) for line in (
    [[0, 0, 0], [1, 1, 1], [0, 0, 0]],
    [[0, 1, 0], [0, 1, 0], [0, 1, 0]],
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
))  # fmt: skip
# What surrounds a white pixel that can go without breaking its line, or that ends one: 1 is white, -1 black. Each is
# turned four ways. Gonzalez and Woods, Digital Image Processing, 9.5.
_THINNED = ([[-1, -1, -1], [0, 1, 0], [1, 1, 1]], [[0, -1, -1], [1, 1, -1], [0, 1, 0]])
_PRUNED = ([[-1, -1, -1], [-1, 1, -1], [0, 0, -1]], [[-1, -1, -1], [-1, 1, -1], [-1, 0, 0]])
# Lines that are resized are a few pixels wide.
_MOST_THINNINGS = 32
# Pixels of what is resized whole and then cut; a long picture, which would be all the memory then, is cut first.
_MOST_COVERING = 1 << 24


def brought(pixels: Pixels, size: Size, mode: str, border: int | None = None) -> Pixels:
    """RGB [height, width, 3] in that width and height; `border` is the grey that it is laid on, or None its own."""
    if mode == JUST_RESIZE:
        return resized(pixels, size)
    height, width, _ = pixels.shape
    scales = size[0] / width, size[1] / height
    scale = max(scales) if mode == CROP_AND_RESIZE else min(scales)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    if mode == RESIZE_AND_FILL:
        colour = _border_colour(pixels) if border is None else np.full(3, border, np.uint8)
        return _laid(resized(pixels, (width, height)), size, colour)
    if width * height <= _MOST_COVERING:
        return _middle(resized(pixels, (width, height)), size)
    kept = math.ceil(size[0] / scale), math.ceil(size[1] / scale)
    return resized(_middle(pixels, kept), size)


def resized(pixels: Pixels, size: Size) -> Pixels:
    """RGB [height, width, 3], whatever kind of map it is."""
    height, width, _ = pixels.shape
    if size == (width, height):
        return pixels
    colours, is_smaller = _count_colours(pixels), size[0] * size[1] < width * height
    smooth = cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC
    kind = cv2.INTER_NEAREST if 2 < colours <= _MOST_LABELS else smooth
    larger = np.asarray(cv2.resize(pixels, size, interpolation=kind), np.uint8)
    if colours != 2 or pixels.min() >= _BLACK or pixels.max() <= _WHITE:
        return larger
    grey = larger.mean(axis=2).astype(np.uint8)
    binary = _lines(grey, is_smaller=is_smaller) if _is_of_thin_lines(pixels) else _split(grey)
    return np.repeat(binary[..., None], 3, axis=2)


def _count_colours(pixels: Pixels) -> int:
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return len(np.unique(packed))


def _is_of_thin_lines(pixels: Pixels) -> bool:
    """Whether most of what is white is gone once it was made a pixel smaller all around."""
    opened = cv2.morphologyEx(pixels, cv2.MORPH_OPEN, _SQUARE)
    return bool(2 * np.count_nonzero(opened < pixels) > np.count_nonzero(pixels > 127))


def _split(grey: Pixels) -> Pixels:
    """In black and white, parted where Otsu's method has it."""
    _, binary = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return binary.astype(np.uint8)


def _lines(grey: Pixels, *, is_smaller: bool) -> Pixels:
    """Blurred lines as lines a pixel wide."""
    is_ridge = np.any([cv2.dilate(grey, line) == grey for line in _LINES], axis=0)
    binary = _split(np.where(is_ridge, grey, 0).astype(np.uint8))
    for _ in range(_MOST_THINNINGS):
        if not _removed(binary, _THINNED):
            break
    if not is_smaller:
        _removed(binary, _PRUNED)
    return binary


def _removed(binary: Pixels, patterns: tuple[list[list[int]], ...]) -> bool:
    """Blackens what is surrounded so, one turn after another, and says whether anything was."""
    is_changed = False
    for turn in range(4):
        for pattern in patterns:
            hits = cv2.morphologyEx(binary, cv2.MORPH_HITMISS, np.rot90(np.array(pattern, np.int32), turn)) > 0
            binary[hits] = 0
            is_changed |= bool(hits.any())
    return is_changed


def _middle(pixels: Pixels, size: Size) -> Pixels:
    left, top = ((own - wanted) // 2 for own, wanted in zip(pixels.shape[1::-1], size, strict=True))
    return np.ascontiguousarray(pixels[top : top + size[1], left : left + size[0]])


def _laid(pixels: Pixels, size: Size, colour: Pixels) -> Pixels:
    canvas: Pixels = np.full((size[1], size[0], 3), colour, np.uint8)
    height, width, _ = pixels.shape
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def _border_colour(pixels: Pixels) -> Pixels:
    """The median of the outermost pixels, channel by channel."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.asarray(np.median(border, axis=0), np.uint8)
