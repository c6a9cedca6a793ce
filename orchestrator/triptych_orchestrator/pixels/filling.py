"""What lies under a mask, made of the colours around it: A1111's masked content "fill"."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]

# Pixels a side of what one colour stands for, coarse to fine; the last is the picture itself.
_SCALES = (256, 64, 16, 4, 1)
# Where nothing is kept that a colour could be taken of.
_GREY = 127.5


def filled(image: Image.Image, mask: Image.Image) -> Image.Image:
    """An RGB picture with ever finer averages of what is kept laid over each other, each as far as there is any of it.

    Colours are multiplied by how much of a pixel is kept, so that what lies under the mask counts nowhere.
    """
    kept = 1 - np.asarray(mask, np.float32) / 255
    colours = np.asarray(image, np.float32).transpose(2, 0, 1) * kept
    total = kept.sum(dtype=np.float64)
    base = colours.sum(axis=(1, 2), dtype=np.float64) / total if total else np.full(3, _GREY)
    laid = np.broadcast_to(base.astype(np.float32)[:, None, None], colours.shape)
    for scale in _SCALES:
        laid = laid * (1 - _averaged(kept, scale)) + np.stack([_averaged(colour, scale) for colour in colours])
    return Image.fromarray(np.rint(laid.clip(0, 255)).astype(np.uint8).transpose(1, 2, 0))


def _averaged(channel: Array, scale: int) -> Array:
    """[height, width], over so many pixels each way."""
    if scale == 1:
        return channel
    height, width = channel.shape
    small = Image.fromarray(channel).resize((-(-width // scale), -(-height // scale)), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
