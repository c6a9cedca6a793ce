"""Overlapping tiles, cut and blended as diffusers' AutoencoderKL does it: `tiled_decode` and `_tiled_encode`.

    tiles = Tiles(64, 512)  # latents in, pixels out
    for row in tiles.rows(latents): strip, above = tiles.blended(above, [decoded(tile) for tile in row])

Only two rows of tiles are held at a time, whatever the picture's size.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

# Of a tile, what its neighbour has too.
OVERLAP = 0.25
# Latents; so that a quarter of a tile is whole, on both sides of the VAE.
_STEP = 4


class Tiles:
    """`side` is a whole tile's on the way in, `made` on the way out; the last of a row or column may be smaller.

    A picture that is to tile along `axes` is cut with as much of itself around it as tiles overlap.
    """

    def __init__(self, side: int, made: int, axes: str = "") -> None:
        self._side, self._step = side, int(side * (1 - OVERLAP))
        self._blend = int(made * OVERLAP)
        self._kept = made - self._blend
        self._around = tuple((side - self._step) * (axis in axes) for axis in "yx")
        self._spare = tuple(self._blend * (axis in axes) for axis in "yx")

    def rows(self, whole: Array) -> Iterator[list[Array]]:
        """The tiles of an array [C, H, W], row by row."""
        whole = np.pad(whole, [(0, 0), *((extent, extent) for extent in self._around)], mode="wrap")
        _, height, width = whole.shape
        for top in range(0, height, self._step):
            strip = whole[:, top : top + self._side]
            yield [strip[:, :, left : left + self._side] for left in range(0, width, self._step)]

    def blended(self, above: Sequence[Floats], row: Sequence[Floats]) -> tuple[Floats, list[Floats]]:
        """What a row comes to [C, h, W], and its tiles for the next one; `above` are the row before's, if any."""
        tiles = [tile.copy() for tile in row]
        for tile, upper in zip(tiles, above, strict=False):
            _fade(upper.swapaxes(-1, -2), tile.swapaxes(-1, -2), self._blend)
        for left, tile in itertools.pairwise(tiles):
            _fade(left, tile, self._blend)
        return np.concatenate([tile[:, : self._kept, : self._kept] for tile in tiles], axis=-1), tiles

    def inner(self, made: Array) -> Array:
        """Of all rows together, [H, W, ...], what the array itself came to."""
        tall, wide = self._spare
        return made[tall : made.shape[0] - tall, wide : made.shape[1] - wide]

    def sizes(self, height: int, width: int) -> set[tuple[int, int]]:
        """Those of the tiles that an array of that height and width is cut into."""
        whole = (extent + 2 * around for extent, around in zip((height, width), self._around, strict=True))
        talls, wides = ({min(self._side, each - start) for start in range(0, each, self._step)} for each in whole)
        return {(tall, wide) for tall in talls for wide in wides}


@dataclass(frozen=True)
class Tiling:
    """Pictures of more than `above_pixels` go through the VAE in tiles of `size` pixels each way.

    `axes` are those along which the pictures themselves are to tile.
    """

    above_pixels: int
    size: int
    axes: str = ""

    def decoding(self, size: Sequence[int], scale: int) -> Tiles | None:
        """Tiles for latents of that height and width, `scale` pixels each; None where they are decoded at once."""
        side = self._side(size[0], size[1], scale)
        return Tiles(side, side * scale, self.axes) if side else None

    def encoding(self, size: Sequence[int], scale: int) -> Tiles | None:
        """Tiles for pictures of that height and width; None where they are encoded at once."""
        side = self._side(size[0] // scale, size[1] // scale, scale)
        return Tiles(side * scale, side, self.axes) if side else None

    def decoded_shapes(self, shape: tuple[int, int, int], scale: int) -> set[tuple[int, int, int]]:
        """Those of all that the decoder is given for latents [C, h, w]."""
        channels, height, width = shape
        tiles = self.decoding((height, width), scale)
        if not tiles:
            return {shape}
        return {(channels, *size) for size in tiles.sizes(height, width)}

    def _side(self, height: int, width: int, scale: int) -> int:
        side = max(1, self.size // scale // _STEP) * _STEP
        return side if height * width * scale**2 > self.above_pixels and max(height, width) > side else 0


def _fade(before: Floats, after: Floats, most: int) -> None:
    """From the end of one to the beginning of the other, along the last axis, in place of that beginning."""
    extent = min(before.shape[-1], after.shape[-1], most)
    share = np.arange(extent) / extent
    old, new = (weights.astype(np.float32) for weights in (1 - share, share))
    after[..., :extent] = before[..., -extent:] * old + after[..., :extent] * new
