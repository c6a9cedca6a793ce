"""OpenPose's body network: a small picture in, fields along limbs and maps of joints out, and bodies of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from triptych.errors import FailedPreconditionError
from triptych_orchestrator.pixels.preprocessors.networks import HALVED_BGR, Floats, Network, Normalization, Pixels, Size
from triptych_orchestrator.pixels.preprocessors.pose.body import FIELDS, MAPS
from triptych_orchestrator.pixels.preprocessors.pose.people import Skeleton, skeletons
from triptych_orchestrator.pixels.preprocessors.pose.plane import Maps, fitted, resized

# Half of the height that it was trained with, and how many pixels each way become one of its maps'.
_HEIGHT, _STRIDE = 184, 8
# Beside the picture; 0 once it is normalized.
_GREY = 128


@dataclass(frozen=True)
class PoseNetwork(Network):
    """What it is given keeps its proportions, and grey lies beside or below it."""

    normalized: Normalization = HALVED_BGR

    def size(self, picture: Size, own: Size) -> Size:
        """As wide as a picture of that height is."""
        height = own[1] or _HEIGHT
        return own[0] or math.ceil(picture[0] * height / picture[1] / _STRIDE) * _STRIDE, height

    def seen(self, pixels: Pixels, own: Size) -> Floats:
        """As large as goes in there, in its upper left corner."""
        picture = pixels.shape[1], pixels.shape[0]
        most = self.size(picture, own)
        size = fitted(picture, most)
        canvas = np.full((most[1], most[0], 3), _GREY, np.uint8)
        canvas[: size[1], : size[0]] = resized(pixels, size)
        return self.normalized(canvas)

    def bodies(self, maps: Floats, pixels: Pixels) -> list[Skeleton]:
        """Of the people in the picture, in its pixels."""
        if len(maps) != MAPS:
            wanted = f"{MAPS}, the {FIELDS} of limbs before those of joints, as OpenPose's body network does"
            raise FailedPreconditionError(f"{self.name}'s file gives {len(maps)} maps, not {wanted}")
        size = pixels.shape[1], pixels.shape[0]
        width, height = fitted(size, (maps.shape[2] * _STRIDE, maps.shape[1] * _STRIDE))
        scale = width / size[0] / _STRIDE, height / size[1] / _STRIDE
        return skeletons(Maps(maps, size, scale))
