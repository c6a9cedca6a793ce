"""A network's maps as a ControlNet looks at them: depth, normals, edges, lines and classes, as A1111's extension."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych_orchestrator.pixels.preprocessors import ade20k, coco
from triptych_orchestrator.pixels.preprocessors.networks import Floats, Pixels

# How much of a normal out of depth points at whoever looks.
_TOWARDS = np.float32(2 * math.pi)
# Percentiles of metric depth between which it is told.
_NEAREST, _FARTHEST = 2, 85
# Of edges as scribbles: what counts as one, and how far they are blurred.
_EDGE, _BLUR, _LEFT = 127, 3.0, 4
# Beyond it an edge is as likely as it can be, or as unlikely.
_SURE = 60.0
# Across, down and along both diagonals.
_LINES = tuple(np.array(line, np.uint8) for line in (
    [[0, 0, 0], [1, 1, 1], [0, 0, 0]],
    [[0, 1, 0], [0, 1, 0], [0, 1, 0]],
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
))  # fmt: skip


def nearness(maps: Floats, _: float, __: float) -> Pixels:
    """White is near."""
    return _bytes(_unit(maps[0]) * 255)


def metric_nearness(maps: Floats, _: float, __: float) -> Pixels:
    """Of distances; what is nearest and what is farthest does not count."""
    nearest, farthest = np.percentile(maps[0], (_NEAREST, _FARTHEST))
    return _bytes((1 - (maps[0] - nearest) / max(farthest - nearest, np.finfo(np.float32).tiny)) * 255)


def cut_nearness(maps: Floats, near: float, far: float) -> Pixels:
    """Of distances, without what is nearer or farther than those shares of them, in percent."""
    depth = _bytes(_unit(maps[0]) * 255)
    if near:
        depth = _above(depth, near)
    depth = np.bitwise_not(depth)
    return _above(depth, far) if far else depth


def normals(maps: Floats, _: float, __: float) -> Pixels:
    """Of x, y, z and how sure of them it is, the finest of its maps."""
    finest = maps[-4:] if len(maps) % 4 == 0 else maps[-3:]
    return _bytes((finest[:3].transpose(1, 2, 0) + 1) / 2 * 255)


def normals_of_depth(maps: Floats, background: float, _: float) -> Pixels:
    """By how depth changes; what is farther away than that share counts as flat."""
    slopes = [cv2.Sobel(maps[0], cv2.CV_32F, *way, ksize=3) for way in ((1, 0), (0, 1))]
    is_near = _unit(maps[0]) >= background
    across, down = (np.where(is_near, slope, np.float32(0)) for slope in slopes)
    vectors = np.stack([across, down, np.full_like(across, _TOWARDS)], axis=2)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return _bytes(vectors * 127.5 + 127.5)


def edges(maps: Floats, _: float, __: float) -> Pixels:
    """Of what its layers say, from fine to coarse, the mean."""
    return _bytes(_likely(maps) * 255)


def stepped_edges(maps: Floats, steps: float, _: float) -> Pixels:
    """Likewise, in so many steps of grey; 0: in all."""
    likely, count = _likely(maps), int(steps)
    return _bytes((np.floor(likely * (count + 1)) / count if count else likely) * 255)


def last_edges(maps: Floats, _: float, __: float) -> Pixels:
    """Of what its layers say the last, which says all."""
    return _bytes(maps[-1] * 255)


def scribbled_edges(maps: Floats, _: float, __: float) -> Pixels:
    """Coarse strokes along them."""
    return _scribbled(edges(maps, 0, 0))


def scribbled_last_edges(maps: Floats, _: float, __: float) -> Pixels:
    """Likewise."""
    return _scribbled(last_edges(maps, 0, 0))


def lines(maps: Floats, _: float, __: float) -> Pixels:
    """White on black, of black on white from 0 to 1."""
    return np.bitwise_not(_bytes(maps[0] * 255))


def signed_lines(maps: Floats, _: float, __: float) -> Pixels:
    """Likewise, from -1 to 1."""
    return np.bitwise_not(_bytes(maps[0] * 127.5 + 127.5))


def byte_lines(maps: Floats, _: float, __: float) -> Pixels:
    """Likewise, from 0 to 255."""
    return _bytes(255 - maps[0])


def ade20k_classes(maps: Floats, _: float, __: float) -> Pixels:
    """In its colours; black is what it has no class for."""
    return _coloured(maps[0], ade20k.PALETTE)


def coco_classes(maps: Floats, _: float, __: float) -> Pixels:
    """Likewise."""
    return _coloured(maps[0], coco.PALETTE)


def _unit(depth: Floats) -> Floats:
    """From 0 to 1; all 0 where nothing is nearer than anything else."""
    lowest, highest = depth.min(), depth.max()
    return (depth - lowest) / (highest - lowest) if highest > lowest else np.zeros_like(depth)


def _coloured(classes: Floats, palette: NDArray[np.uint8]) -> Pixels:
    return np.asarray(palette[np.minimum(classes.astype(np.intp), len(palette) - 1)])


def _likely(maps: Floats) -> Floats:
    mean = maps.mean(axis=0, dtype=np.float64).clip(-_SURE, _SURE)
    return np.asarray(1 / (1 + np.exp(-mean)), np.float32)


def _above(depth: Pixels, percent: float) -> Pixels:
    return np.asarray(cv2.threshold(depth, percent / 100 * 255, 255, cv2.THRESH_TOZERO)[1], np.uint8)


def _scribbled(edge: Pixels) -> Pixels:
    """Ridges alone, and these as wide as a pen."""
    blurred = cv2.GaussianBlur(edge.astype(np.float32), (0, 0), _BLUR)
    is_ridge = np.any([cv2.dilate(blurred, line) == blurred for line in _LINES], axis=0)
    ridges = np.where(is_ridge & (blurred > _EDGE), 255, 0).astype(np.uint8)
    return np.where(cv2.GaussianBlur(ridges, (0, 0), _BLUR) > _LEFT, 255, 0).astype(np.uint8)


def _bytes(values: Floats) -> Pixels:
    """Cut, not rounded, as the extension does it."""
    return np.asarray(values.clip(0, 255), np.uint8)
