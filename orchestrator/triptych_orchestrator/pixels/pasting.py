"""What was drawn, laid on what it was drawn for: where a mask is black, the original comes back untouched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych_orchestrator.pixels.regions import Box, covering

Pixels = NDArray[np.uint8]


def share(mask: Image.Image) -> Image.Image:
    """How much of what was drawn counts, of 255: all where it was drawn, fading out beyond, so that no edge shows."""
    return mask.point(lambda value: min(2 * value, 255))


def laid_over(drawn: Image.Image, original: Image.Image, shares: Image.Image) -> Image.Image:
    """Both pictures and the shares are of one size."""
    return Image.composite(drawn, original, shares)


def laid_into(drawn: Image.Image, original: Image.Image, shares: Image.Image, box: Box) -> Image.Image:
    """The same for a part of the original, which is changed and may be large: VaeImageProcessor.apply_overlay.

    The shares are as large as the part.
    """
    original.paste(laid_over(covering(drawn, box.size), original.crop(box), shares), box[:2])
    return original
