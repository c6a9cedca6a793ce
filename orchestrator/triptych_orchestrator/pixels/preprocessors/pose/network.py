"""OpenPose's body network: a small picture in, fields along limbs and maps of joints out, and skeletons of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from triptych.errors import FailedPreconditionError
from triptych_orchestrator.pixels.preprocessors.networks import Floats, Network, Normalization, Pixels, Size
from triptych_orchestrator.pixels.preprocessors.pose.body import FIELDS, MAPS
from triptych_orchestrator.pixels.preprocessors.pose.drawing import drawn
from triptych_orchestrator.pixels.preprocessors.pose.people import skeletons
from triptych_orchestrator.pixels.preprocessors.pose.plane import Maps

# Half of the height that it was trained with, and how many pixels each way become one of its maps'.
_HEIGHT, _STRIDE = 184, 8
# Beside the picture; 0 once it is normalized.
_GREY = 128
_HALVED = Normalization((0.5, 0.5, 0.5), white=255 / 256, order="BGR")


@dataclass(frozen=True)
class PoseNetwork(Network):
    """What it is given keeps its proportions, and grey lies beside or below it."""

    normalized: Normalization = _HALVED

    def size(self, picture: Size, own: Size) -> Size:
        """As wide as a picture of that height is."""
        height = own[1] or _HEIGHT
        return own[0] or math.ceil(picture[0] * height / picture[1] / _STRIDE) * _STRIDE, height

    def seen(self, pixels: Pixels, own: Size) -> Floats:
        """As large as goes in there, in its upper left corner."""
        picture = pixels.shape[1], pixels.shape[0]
        most = self.size(picture, own)
        size = _fitted(picture, most)
        kind = cv2.INTER_AREA if sum(size) < sum(picture) else cv2.INTER_LANCZOS4
        canvas = np.full((most[1], most[0], 3), _GREY, np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=kind)
        return self.normalized(canvas)

    def picture(self, maps: Floats, pixels: Pixels, first: float, second: float) -> Pixels:
        """The skeletons of the people in it."""
        if len(maps) != MAPS:
            wanted = f"{MAPS}, the {FIELDS} of limbs before those of joints, as OpenPose's body network does"
            raise FailedPreconditionError(f"{self.name}'s file gives {len(maps)} maps, not {wanted}")
        size = pixels.shape[1], pixels.shape[0]
        width, height = _fitted(size, (maps.shape[2] * _STRIDE, maps.shape[1] * _STRIDE))
        scale = width / size[0] / _STRIDE, height / size[1] / _STRIDE
        return drawn(skeletons(Maps(maps, size, scale)), size)


def _fitted(picture: Size, most: Size) -> Size:
    """The largest in its proportions that goes in there."""
    scale = min(most[0] / picture[0], most[1] / picture[1])
    return max(1, int(picture[0] * scale)), max(1, int(picture[1] * scale))
