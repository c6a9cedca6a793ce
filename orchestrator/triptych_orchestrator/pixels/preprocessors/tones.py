"""A picture's light and colours, changed pixel by pixel or made coarser."""

from __future__ import annotations

import cv2
import numpy as np

from triptych_orchestrator.pixels.preprocessors.base import Parameter, Pixels, Preprocessor

# Below that a picture is left as it is.
_LEAST_RATE = 1.1
# Pixels a side of what one colour stands for.
_GRID = 64
_GAMMA = Parameter("Gamma Correction", 0.1, 2, 1, 0.001)


def _unchanged(pixels: Pixels, _: float, __: float) -> Pixels:
    return pixels


def _inverted(pixels: Pixels, _: float, __: float) -> Pixels:
    return np.bitwise_not(pixels)


def _threshold(pixels: Pixels, threshold: float, _: float) -> Pixels:
    return np.where(pixels.min(axis=2) > threshold, 255, 0).astype(np.uint8)


def _luminance(pixels: Pixels, gamma: float, _: float) -> Pixels:
    """CIE's L*, of 255."""
    return _corrected(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB), np.uint8)[..., 0], gamma)


def _intensity(pixels: Pixels, gamma: float, _: float) -> Pixels:
    """HSV's value."""
    return _corrected(pixels.max(axis=2), gamma)


def _corrected(grey: Pixels, gamma: float) -> Pixels:
    table = (np.arange(256, dtype=np.float32) / 255) ** np.float32(gamma) * 255
    return np.asarray(table.clip(0, 255), np.uint8)[grey]


def _blurred(pixels: Pixels, sigma: float, _: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def _smaller(pixels: Pixels, rate: float, _: float) -> Pixels:
    if rate < _LEAST_RATE:
        return pixels
    height, width, _channels = pixels.shape
    size = max(1, int(width / rate)), max(1, int(height / rate))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _grid(pixels: Pixels, _: float, __: float) -> Pixels:
    height, width, _channels = pixels.shape
    size = max(1, width // _GRID), max(1, height // _GRID)
    coarse = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


# What is to be drawn anew is hidden by whoever has the mask.
HIDDEN = Preprocessor(
    "inpaint",
    ("Inpaint",),
    _unchanged,
    aliases=("inpaint_global_harmonious",),
    resolution=None,
    needs_mask=True,
)
INVERTED = Preprocessor(
    "invert",
    ("Canny", "Lineart", "Scribble", "MLSD"),
    _inverted,
    aliases=("invert (from white bg & black line)",),
    resolution=None,
)
THRESHOLD = Preprocessor("threshold", (), _threshold, threshold_a=Parameter("Binarization Threshold", 0, 255, 127))
LUMINANCE = Preprocessor("recolor_luminance", ("Recolor",), _luminance, resolution=None, threshold_a=_GAMMA)
INTENSITY = Preprocessor("recolor_intensity", ("Recolor",), _intensity, resolution=None, threshold_a=_GAMMA)
BLURRED = Preprocessor(
    "blur_gaussian", ("Tile",), _blurred, threshold_a=Parameter("Sigma", 0.01, 64, 9), is_padded=False
)
SMALLER = Preprocessor(
    "tile_resample", ("Tile",), _smaller, resolution=None, threshold_a=Parameter("Down Sampling Rate", 1, 8, 1)
)
GRID = Preprocessor("t2ia_color_grid", ("T2I-Adapter",), _grid, aliases=("color",), is_padded=False)
