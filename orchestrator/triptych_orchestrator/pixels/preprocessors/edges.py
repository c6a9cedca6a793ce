"""Edges of what a picture shows, white on black."""

from __future__ import annotations

import cv2
import numpy as np

from triptych_orchestrator.pixels.preprocessors.base import Parameter, Pixels, Preprocessor


def _canny(pixels: Pixels, low: float, high: float) -> Pixels:
    return np.asarray(cv2.Canny(pixels, int(low), int(high)), np.uint8)


CANNY = Preprocessor(
    "canny",
    ("Canny",),
    _canny,
    threshold_a=Parameter("Low Threshold", 1, 255, 100, 1),
    threshold_b=Parameter("High Threshold", 1, 255, 200, 1),
)
