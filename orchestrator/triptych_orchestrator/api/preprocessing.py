"""Preprocess and ListPreprocessors: a picture as a ControlNet would look at it, and what can make it so."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from triptych.errors import invalid
from triptych.v1 import generation_pb2 as pb
from triptych_orchestrator.api.messages import asked_preparation
from triptych_orchestrator.jobs.admission import Admission
from triptych_orchestrator.jobs.extents import Size
from triptych_orchestrator.jobs.fields.numbers import within
from triptych_orchestrator.jobs.hints.preparation import preparation_of
from triptych_orchestrator.jobs.hints.preprocessors import Preprocessors
from triptych_orchestrator.jobs.hints.reading import HintReader
from triptych_orchestrator.jobs.pictures import PictureReader, check_bytes
from triptych_orchestrator.pixels.preprocessors import Parameter, Pixels, Preprocessor
from triptych_orchestrator.settings import Limits

# It is looked at once.
_COMPRESS_LEVEL = 1
_COLOURS = 3


class Preprocessing:
    """Whoever asks waits for one of the few threads as a request's pictures do, and counts as waiting."""

    def __init__(
        self, pictures: PictureReader, preprocessors: Preprocessors, admission: Admission, limits: Limits
    ) -> None:
        self._pictures, self._preprocessors = pictures, preprocessors
        self._admission, self._limits = admission, limits
        self._hints = HintReader(pictures, preprocessors, limits.max_upscaled_pixels)

    async def answer(self, request: pb.PreprocessRequest) -> pb.PreprocessResponse:
        """What the picture becomes."""
        data, size = request.image, self._size(request)
        preparation = preparation_of(asked_preparation(request), str)
        if not data:
            raise invalid("image", "is missing; send the picture that is to be prepared")
        check_bytes([data, request.mask_image], self._limits)
        with self._admission.preparing():
            if preparation.hides and not size:
                size = await self._pictures.size("image", data)
            if size:
                hints, warnings = await self._hints.hints(data, preparation, [size], str, mask=request.mask_image)
                pixels = np.frombuffer(hints[size], np.uint8).reshape(size[1], size[0], -1)
            else:
                pixels, warnings = await self._hints.prepared(data, preparation, None, str)
            return await self._preprocessors.work(lambda: _response(pixels, warnings))

    def listed(self) -> pb.ListPreprocessorsResponse:
        """Those that there are."""
        return pb.ListPreprocessorsResponse(preprocessors=(_message(*each) for each in self._preprocessors.all()))

    def _size(self, request: pb.PreprocessRequest) -> Size | None:
        given = [request.HasField(field) for field in ("width", "height")]
        if not any(given):
            if request.resize_mode:
                raise invalid("resize_mode", "says how a size is come to; give width and height, or leave it out")
            return None
        if not all(given):
            raise invalid("height" if given[0] else "width", "is missing; give both extents, or neither")
        width = within("width", request.width, self._limits.max_width)
        return width, within("height", request.height, self._limits.max_height)


def _response(pixels: Pixels, warnings: list[str]) -> pb.PreprocessResponse:
    """What is hidden is transparent."""
    if pixels.shape[2] > _COLOURS:
        pixels = np.dstack([pixels[..., :_COLOURS], np.bitwise_not(pixels[..., _COLOURS])])
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    image.save(stream, "PNG", compress_level=_COMPRESS_LEVEL)
    return pb.PreprocessResponse(png=stream.getvalue(), width=image.width, height=image.height, warnings=warnings)


def _message(preprocessor: Preprocessor, missing: str) -> pb.Preprocessor:
    networks = [network.name for network in preprocessor.networks]
    return pb.Preprocessor(
        name=preprocessor.name,
        aliases=preprocessor.aliases,
        control_types=preprocessor.control_types,
        processor_res=_parameter(preprocessor.resolution),
        threshold_a=_parameter(preprocessor.threshold_a),
        threshold_b=_parameter(preprocessor.threshold_b),
        needs_mask=preprocessor.needs_mask,
        missing=missing,
        checkpoint=networks[0] if networks and not missing else "",
        checkpoints=networks,
    )


def _parameter(parameter: Parameter | None) -> pb.PreprocessorParameter | None:
    if parameter is None:
        return None
    return pb.PreprocessorParameter(
        label=parameter.label,
        minimum=parameter.minimum,
        maximum=parameter.maximum,
        default_value=parameter.default,
        step=parameter.step,
    )
