"""From a VAE's numbers to the pixels of the contract's `image`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def rounded(sample: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """8 bits [..., H, W, 3] of [..., 3, H, W], nominally in [-1, 1], as diffusers' VaeImageProcessor rounds them."""
    unit = np.nan_to_num(np.clip(sample / 2 + 0.5, 0, 1))
    return np.moveaxis(np.round(unit * 255).astype(np.uint8), -3, -1)
