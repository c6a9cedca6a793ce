"""How what a ControlNet looks at comes to the size of what is drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from triptych_orchestrator.jobs.extents import Size
from triptych_orchestrator.jobs.hints.preparation import Preparation
from triptych_orchestrator.pixels.hints import JUST_RESIZE, brought
from triptych_orchestrator.pixels.preprocessors import Pixels
from triptych_orchestrator.pixels.regions import Box, fitted


class Part(NamedTuple):
    """What is drawn by itself of an image of that width and height."""

    image_size: Size
    box: Box

    def cut(self, pixels: Pixels, drawn: Size, preparation: Preparation) -> Pixels:
        """The same part of a ControlNet's picture, as large as it is drawn, as diffusers' inpainting cuts it."""
        whole = pixels if pixels.shape[1::-1] == self.image_size else sized(pixels, self.image_size, preparation)
        return np.asarray(fitted(Image.fromarray(whole).crop(self.box), drawn))


def sized(pixels: Pixels, size: Size, preparation: Preparation) -> Pixels:
    """By the resize mode; a picture that is stretched and no more as diffusers' VaeImageProcessor.resize does it."""
    is_map = preparation.preprocessor and not preparation.hides
    if is_map or preparation.resize_mode != JUST_RESIZE:
        return brought(pixels, size, preparation.resize_mode)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
