"""Pictures with more on their sides: where each lies on a canvas, and what is there until it is drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from triptych_orchestrator.pixels.regions import Box, Size

COPY, REFLECT = "copy", "reflect"


class Sides(NamedTuple):
    """Pixels on each side."""

    left: int
    top: int
    right: int
    bottom: int


class Layout(NamedTuple):
    """A canvas of whole latents with a picture on it; boxes in the canvas' pixels.

    `picture` begins with a latent; `kept` is what is not drawn anew, no latent of which reaches over an edge at which
    something is added; `result` is what was asked for.
    """

    size: Size
    picture: Box
    kept: Box
    result: Box

    def kept_within(self, pixels: int) -> Box:
        """`kept` but for so many pixels at the edges at which something is added, or half of it at most."""
        by = min(pixels, self.kept.size[0] // 2, self.kept.size[1] // 2)
        left, top = (edge + by if edge else 0 for edge in self.kept[:2])
        right, bottom = (edge - by if edge < end else end for edge, end in zip(self.kept[2:], self.size, strict=True))
        return Box(left, top, right, bottom)


def layout(picture: Size, sides: Sides, scale: int) -> Layout:
    """The smallest such canvas, of `scale` pixels a latent."""
    left, top = (_up(side, scale) for side in sides[:2])
    right, bottom = left + picture[0], top + picture[1]
    size = _up(right + sides.right, scale), _up(bottom + sides.bottom, scale)
    ends = (_kept(*each, scale) for each in zip((right, bottom), sides[2:], size, strict=True))
    result = Box(left - sides.left, top - sides.top, right + sides.right, bottom + sides.bottom)
    return Layout(size, Box(left, top, right, bottom), Box(left, top, *ends), result)


def _up(extent: int, scale: int) -> int:
    return -(-extent // scale) * scale


def _kept(edge: int, added: int, end: int, scale: int) -> int:
    """Up to the canvas' end where nothing is added, for what lies beyond the picture is cut off."""
    return edge // scale * scale if added else end


def bordered(picture: Image.Image, where: Layout, fill: str) -> Image.Image:
    """The canvas, with the picture's outermost pixels copied all around it, or the picture mirrored."""
    (width, height), box = where.size, where.picture
    sides = ((box.top, height - box.bottom), (box.left, width - box.right), (0, 0))
    pixels = np.asarray(picture)
    return Image.fromarray(np.pad(pixels, sides, "edge") if fill == COPY else np.pad(pixels, sides, "reflect"))


def around(where: Layout, kept: Box, mask: Image.Image) -> Image.Image:
    """A mask of the canvas: white but for the kept part, in which it is the picture's own mask."""
    canvas, own = Image.new("L", where.size, "white"), Image.new("L", where.size)
    own.paste(mask, where.picture)
    canvas.paste(own.crop(kept), kept)
    return canvas
