"""Pictures as large as a network wants them, and its coarse maps at their pixels, without maps as large as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych_orchestrator.pixels.preprocessors.networks import Floats, Size

Indices = NDArray[np.intp]
Plane = TypeVar("Plane", bound=NDArray[Any])


def fitted(picture: Size, most: Size) -> Size:
    """The largest in its proportions that goes in there."""
    scale = min(most[0] / picture[0], most[1] / picture[1])
    return max(1, int(picture[0] * scale)), max(1, int(picture[1] * scale))


def resized(plane: Plane, size: Size) -> Plane:
    """By Lanczos, or smaller by areas."""
    kind = cv2.INTER_AREA if sum(size) < sum(plane.shape[:2]) else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(plane, size, interpolation=kind), plane.dtype)  # type: ignore[return-value]


@dataclass(frozen=True)
class Maps:
    """`maps` [N, h, w], in whose upper left corner lies a picture of `size`, of which a pixel is `scale` of theirs."""

    maps: Floats
    size: Size
    scale: tuple[float, float]

    def whole(self, number: int) -> Floats:
        """One map as large as the picture, [height, width]."""
        across, down = self.scale
        to_map = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])
        flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
        larger = cv2.warpAffine(self.maps[number], to_map, self.size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(larger, np.float32)

    def at(self, number: int, across: Indices, down: Indices) -> Floats:
        """One map at pixels of the picture, [rows, columns] each."""
        places = zip((across, down), self.scale, strict=True)
        x, y = (((place + 0.5) * scale - 0.5).astype(np.float32) for place, scale in places)
        values = cv2.remap(self.maps[number], x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(values, np.float32)
