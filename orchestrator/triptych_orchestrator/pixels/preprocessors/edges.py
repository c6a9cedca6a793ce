"""Edges and lines of what a picture shows, white on black."""

from __future__ import annotations

import cv2
import numpy as np

from triptych_orchestrator.pixels.preprocessors.base import Parameter, Pixels, Preprocessor

# Standard deviations in pixels: of what a line is darker than; of the two Gaussians whose difference is taken.
_LINE_SURROUNDINGS = 6.0
_FINE, _COARSE = 0.5, 5.0
# Fainter lines do not count in how dark lines are, and none counts as fainter than the other.
_FAINT, _LEAST_DARK = 8, 16


def _canny(pixels: Pixels, low: float, high: float) -> Pixels:
    return np.asarray(cv2.Canny(pixels, int(low), int(high)), np.uint8)


def _soft_edges(pixels: Pixels, sigma: float, _: float) -> Pixels:
    """How steep the steepest channel is, the steepest pixel being white."""
    smooth = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), sigma)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    steep = np.sqrt(np.square(across) + np.square(down)).max(axis=2)
    return np.asarray(np.rint(steep * (255 / max(float(steep.max()), 1.0))), np.uint8)


def _lines(pixels: Pixels, _: float, __: float) -> Pixels:
    """How much darker than its surroundings each pixel is, half white being as dark as lines mostly are."""
    values = pixels.astype(np.float32)
    dark = (cv2.GaussianBlur(values, (0, 0), _LINE_SURROUNDINGS) - values).min(axis=2).clip(0, 255)
    counted = dark[dark > _FAINT]
    typical = max(_LEAST_DARK, float(np.median(counted))) if len(counted) else _LEAST_DARK
    return np.asarray((dark * (127 / typical)).clip(0, 255), np.uint8)


def _scribble(pixels: Pixels, threshold: float, _: float) -> Pixels:
    """Extended differences of Gaussians (Winnemöller, 2011), in black and white."""
    values = pixels.astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(values, (0, 0), sigma) for sigma in (_FINE, _COARSE))
    light = (255 - (coarse - fine).min(axis=2)).clip(0, 255).astype(np.uint8)
    return np.where(2 * (255 - light.astype(np.int32)) > threshold, 255, 0).astype(np.uint8)


CANNY = Preprocessor(
    "canny",
    ("Canny",),
    _canny,
    threshold_a=Parameter("Low Threshold", 1, 255, 100, 1),
    threshold_b=Parameter("High Threshold", 1, 255, 200, 1),
)
SOFT_EDGES = Preprocessor("softedge_sobel", ("SoftEdge",), _soft_edges, threshold_a=Parameter("Sigma", 0.5, 16, 1))
LINES = Preprocessor(
    "lineart_standard", ("Lineart",), _lines, aliases=("lineart_standard (from white bg & black line)",)
)
SCRIBBLE = Preprocessor(
    "scribble_xdog", ("Scribble", "SparseCtrl"), _scribble, threshold_a=Parameter("XDoG Threshold", 1, 64, 32)
)
