"""From a control's file to what its ControlNet looks at, RGB, in the size of each pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from triptych.errors import invalid
from triptych_orchestrator.jobs.extents import Size
from triptych_orchestrator.jobs.hints.hiding import Canvas, Looked
from triptych_orchestrator.jobs.hints.preparation import Field, Preparation
from triptych_orchestrator.jobs.hints.preprocessors import Preprocessors
from triptych_orchestrator.jobs.hints.sizing import Part, sized
from triptych_orchestrator.jobs.pictures import PictureReader, picture
from triptych_orchestrator.pixels.preprocessors import Pixels

# Pixels in a row or a column of what networks look at: OpenCV counts some of its own in 16 bits.
_LONGEST = 32_704


@dataclass(frozen=True)
class HintReader:
    """Reads the files in one pool of threads, and prepares them in another; `most_pixels` are of what is prepared."""

    pictures: PictureReader
    preprocessors: Preprocessors
    most_pixels: int

    async def hints(
        self,
        data: bytes,
        preparation: Preparation,
        sizes: Sequence[Size],
        field: Field,
        part: Part | None = None,
        mask: bytes = b"",
        canvas: Canvas | None = None,
    ) -> tuple[Mapping[Size, bytes], list[str]]:
        """By width and height, the first one's being drawn first; and what is worth knowing of the file.

        Where the preparation hides something a `mask` says what, or else the `canvas`, which has a picture too; each
        pixel has a channel more then.
        """
        if preparation.hides:
            return await self._hiding(data, mask, preparation, sizes, field, part, canvas)
        pixels, warnings = await self.prepared(data, preparation, sizes[0], field, part)

        def made() -> dict[Size, bytes]:
            return {size: sized(pixels, size, preparation).tobytes() for size in sizes}

        return await self.preprocessors.work(made), warnings

    async def _hiding(
        self,
        data: bytes,
        mask: bytes,
        preparation: Preparation,
        sizes: Sequence[Size],
        field: Field,
        part: Part | None,
        canvas: Canvas | None,
    ) -> tuple[Mapping[Size, bytes], list[str]]:
        looked = Looked(data, mask, canvas)
        looked.check(field)

        def read() -> tuple[dict[Size, bytes], list[str]]:
            return looked.hidden(preparation, sizes, field, part, self.pictures.most_pixels)

        return await self.pictures.run(read)

    async def prepared(
        self, data: bytes, preparation: Preparation, drawn: Size | None, field: Field, part: Part | None = None
    ) -> tuple[Pixels, list[str]]:
        """What the preprocessor makes of the file, as large as it makes it; `drawn` None: as large as the file is."""

        def read() -> tuple[Pixels, list[str]]:
            image, warnings = picture(field("image"), data, self.pictures.most_pixels)
            pixels = np.asarray(image)
            return (part.cut(pixels, drawn, preparation) if part and drawn else pixels), warnings

        pixels, warnings = await self.pictures.run(read)
        if preparation.preprocessor:
            own = pixels.shape[1], pixels.shape[0]
            pixels = await self._prepared(pixels, preparation, drawn or own, field)
        return pixels, warnings

    async def _prepared(self, pixels: Pixels, preparation: Preparation, drawn: Size, field: Field) -> Pixels:
        preprocessor = self.preprocessors.ready(field("preprocessor"), preparation.preprocessor)
        own = pixels.shape[1], pixels.shape[0]
        settings = preparation.settings(own, drawn)
        worked = preprocessor.worked_size(own, settings.resolution)
        if preprocessor.networks and max(worked) > _LONGEST:
            problem = (
                f"{preprocessor.name} would work at {worked[0]} x {worked[1]} pixels, more than {_LONGEST} in a row"
            )
            raise invalid(field("processor_res"), f"{problem}; give less, or an image that is less long")
        width, height = max(worked, self.preprocessors.looked_at(preprocessor, worked), key=math.prod)
        if width * height > self.most_pixels:
            problem = f"{preprocessor.name} would work at {width} x {height} pixels, more than the {self.most_pixels}"
            raise invalid(field("processor_res"), f"{problem} that this server makes; give less, or a smaller image")
        return await self.preprocessors.run(preprocessor, pixels, settings)
