"""From a control's file to what its ControlNet looks at, RGB, in the size of each pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from triptych.errors import invalid
from triptych_orchestrator.jobs.extents import Size
from triptych_orchestrator.jobs.hints.preparation import Field, Preparation
from triptych_orchestrator.jobs.hints.preprocessors import Preprocessors, named
from triptych_orchestrator.jobs.pictures import PictureReader, picture
from triptych_orchestrator.pixels.hints import JUST_RESIZE, brought
from triptych_orchestrator.pixels.preprocessors import Pixels


@dataclass(frozen=True)
class HintReader:
    """Reads the files in one pool of threads, and prepares them in another; `most_pixels` are of what is prepared."""

    pictures: PictureReader
    preprocessors: Preprocessors
    most_pixels: int

    async def hints(
        self, data: bytes, preparation: Preparation, sizes: Sequence[Size], field: Field
    ) -> tuple[Mapping[Size, bytes], list[str]]:
        """By width and height, the first one's being drawn first; and what is worth knowing of the file."""
        pixels, warnings = await self.prepared(data, preparation, sizes[0], field)
        mode = preparation.resize_mode
        if not preparation.preprocessor and mode == JUST_RESIZE:
            return await self.pictures.run(lambda: {size: _as_diffusers(pixels, size) for size in sizes}), warnings
        return await self.preprocessors.work(
            lambda: {size: brought(pixels, size, mode).tobytes() for size in sizes}
        ), warnings

    async def prepared(
        self, data: bytes, preparation: Preparation, drawn: Size | None, field: Field
    ) -> tuple[Pixels, list[str]]:
        """What the preprocessor makes of the file, as large as it makes it; `drawn` None: as large as the file is."""
        image, warnings = await self.pictures.run(lambda: picture(field("image"), data, self.pictures.most_pixels))
        pixels = np.asarray(image)
        if preparation.preprocessor:
            pixels = await self._prepared(pixels, preparation, drawn or image.size, field)
        return pixels, warnings

    async def _prepared(self, pixels: Pixels, preparation: Preparation, drawn: Size, field: Field) -> Pixels:
        preprocessor = named(field("preprocessor"), preparation.preprocessor)
        own = pixels.shape[1], pixels.shape[0]
        settings = preparation.settings(own, drawn)
        width, height = preprocessor.worked_size(own, settings.resolution)
        if width * height > self.most_pixels:
            problem = f"{preprocessor.name} would work at {width} x {height} pixels, more than the {self.most_pixels}"
            raise invalid(field("processor_res"), f"{problem} that this server makes; give less, or a smaller image")
        return await self.preprocessors.run(preprocessor, pixels, settings)


def _as_diffusers(pixels: Pixels, size: Size) -> bytes:
    """VaeImageProcessor.resize."""
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS).tobytes()
