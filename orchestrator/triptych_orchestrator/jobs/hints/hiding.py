"""What an inpaint ControlNet looks at: a picture, of which a mask hides what is to be drawn.

Each pixel has a channel more, white where nothing is to be seen; whoever computes the hint puts -1 there, as
`make_inpaint_condition` of diffusers' documentation and A1111's extension do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.errors import invalid
from triptych_orchestrator.jobs.extents import Size
from triptych_orchestrator.jobs.hints.preparation import Field, Preparation
from triptych_orchestrator.jobs.hints.sizing import Part, sized
from triptych_orchestrator.jobs.pictures import Grey, mask, picture
from triptych_orchestrator.pixels.hints import JUST_RESIZE, brought
from triptych_orchestrator.pixels.masks import binary
from triptych_orchestrator.pixels.preprocessors import Pixels

_WHITE = 255
IsHidden = NDArray[np.bool_]


@dataclass(frozen=True)
class Canvas:
    """What a request's inpainting draws on: RGB and 8-bit grey of the drawn size."""

    size: Size
    images: Sequence[bytes]
    masks: Sequence[bytes]

    @property
    def is_one(self) -> bool:
        """Whether a ControlNet, which looks at one picture, can look at it."""
        return len(self.images) == len(self.masks) == 1

    def picture(self) -> Pixels:
        """[height, width, 3]."""
        return np.frombuffer(self.images[0], np.uint8).reshape(self.size[1], self.size[0], 3)

    def is_hidden(self, size: Size) -> IsHidden:
        """What is drawn anew, in a pass's size."""
        grey = Image.frombytes("L", self.size, self.masks[0])
        return binary(grey if size == self.size else grey.resize(size, Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class Looked:
    """Files of a picture and of its mask; where there is none, both are the canvas's, or the mask alone."""

    image: bytes
    mask: bytes
    canvas: Canvas | None

    def check(self, field: Field) -> None:
        """InvalidArgumentError about what is missing."""
        if self.mask:
            if not self.image:
                raise invalid(field("image"), "is missing; send the picture that mask_image is of")
        elif self.canvas is None:
            raise invalid(field("mask_image"), "is missing; send one, white where the ControlNet is to see nothing")
        elif not self.canvas.is_one:
            problem = "is missing; of several images or masks of the request a ControlNet can look at none: send one"
            raise invalid(field("mask_image"), problem)

    def hidden(
        self, preparation: Preparation, sizes: Sequence[Size], field: Field, part: Part | None, most_pixels: int
    ) -> tuple[dict[Size, bytes], list[str]]:
        """By width and height RGB and what is hidden, [height, width, 4]; and what is worth knowing of the files."""
        pixels, told = self._picture(field, most_pixels)
        own = pixels.shape[1], pixels.shape[0]
        cut = part if part and self.image else None  # the canvas is of the part alone
        grey = mask(field("mask_image"), self.mask, most_pixels) if self.mask else None
        hiding = np.asarray(grey.resized(own).convert("RGB")) if grey else None
        if cut:
            pixels = cut.cut(pixels, sizes[0], preparation)
            hiding = None if hiding is None else cut.cut(hiding, sizes[0], preparation)
        made = {}
        for size in sizes:
            is_hidden = self._is_hidden(hiding, grey, size, preparation)
            made[size] = np.dstack([sized(pixels, size, preparation), is_hidden]).tobytes()
        return made, [*told, *(grey.warnings if grey else ())]

    def _picture(self, field: Field, most_pixels: int) -> tuple[Pixels, list[str]]:
        if not self.image and self.canvas:
            return self.canvas.picture(), []
        image, warnings = picture(field("image"), self.image, most_pixels)
        return np.asarray(image), warnings

    def _is_hidden(self, hiding: Pixels | None, grey: Grey | None, size: Size, preparation: Preparation) -> Pixels:
        """White where it is; what is laid around a picture is hidden too."""
        if hiding is None or grey is None:
            return _white(self.canvas.is_hidden(size)) if self.canvas else np.zeros(size[::-1], np.uint8)
        if preparation.resize_mode == JUST_RESIZE:
            return _white(binary(Image.fromarray(hiding).convert("L").resize(size, grey.resampling)))
        return _white(binary(Image.fromarray(brought(hiding, size, preparation.resize_mode, _WHITE)).convert("L")))


def _white(is_hidden: IsHidden) -> Pixels:
    return np.where(is_hidden, _WHITE, 0).astype(np.uint8)
