"""A face's landmarks, of CMU's face network as A1111's extension has it."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from triptych_orchestrator.pixels.preprocessors.networks import Answer, Ask, Floats, Pixels
from triptych_orchestrator.pixels.preprocessors.pose.parts.network import PartNetwork
from triptych_orchestrator.pixels.preprocessors.pose.person import Place

_LEAST = 0.05


def face_of(network: PartNetwork, pixels: Pixels) -> Generator[Ask, Answer, list[Place]]:
    """Of a picture of one face: the highest place of each map, the last one's, of what is no face, among them."""
    answer = yield Ask(network, pixels)
    maps = network.last(answer.maps)
    rows, columns = (_between(*each) for each in zip(maps.shape[1:], pixels.shape[:2], strict=True))
    places = [_place(rows @ plane @ columns.T) for plane in maps]
    return [place for place in places if place]


def _place(plane: Floats) -> Place | None:
    """None where it is not seen, or in the first row or column."""
    down, across = divmod(int(plane.argmax()), plane.shape[1])
    return (across, down) if plane[down, across] > _LEAST and min(across, down) > 0 else None


def _between(cells: int, extent: int) -> Floats:
    """[extent, cells]: how much of each cell is in each pixel, the first and last in the middle of theirs."""
    at = np.linspace(0, cells - 1, extent, dtype=np.float32)
    return np.asarray(np.maximum(1 - np.abs(at[:, None] - np.arange(cells)), 0), np.float32)
