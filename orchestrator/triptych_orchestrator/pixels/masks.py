"""Masks, 8-bit grey as large as their pictures: white is drawn anew, black is kept.

binary(blurred(inverted(mask), 4))
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

Mask = NDArray[np.bool_]

# Of 255, from which on a pixel is drawn anew: half, as diffusers' VaeImageProcessor.binarize has it.
_HALF = 128


def inverted(mask: Image.Image) -> Image.Image:
    """What was kept is drawn anew, and the other way round."""
    return ImageOps.invert(mask)


def blurred(mask: Image.Image, radius: int) -> Image.Image:
    """With an edge of that standard deviation in pixels, as diffusers' VaeImageProcessor.blur; 0 is none."""
    return mask.filter(ImageFilter.GaussianBlur(radius)) if radius else mask


def binary(mask: Image.Image) -> Mask:
    """[height, width], where the picture is drawn anew."""
    drawn: Mask = np.asarray(mask) >= _HALF
    return drawn


def binaries(masks: Sequence[bytes], width: int, height: int) -> Mask:
    """[masks, height, width] of such as a job has."""
    return np.stack([binary(Image.frombytes("L", (width, height), grey)) for grey in masks])


def latent_masks(drawn: Mask, scale: int) -> NDArray[np.float32]:
    """[masks, 1, h, w], 1 where a latent's first pixel is drawn anew: torch's nearest interpolation takes that one."""
    return drawn[:, None, ::scale, ::scale].astype(np.float32)
