"""What pictures are prepared with for ControlNets, and how one looks then."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from triptych.sdk.preprocessing import Preprocessor, PreprocessorParameter
from triptych_gateway.caller import CallerOf
from triptych_gateway.described import Answer, Body, described
from triptych_gateway.gateway import GatewayOf
from triptych_gateway.rest.bodies import parsed
from triptych_gateway.rest.documents import SAMPLE, inlined
from triptych_gateway.rest.images import image_of

router = APIRouter(tags=["generation"])

ParameterAnswer: Any = described("PreprocessorParameter", PreprocessorParameter, Answer)
PreprocessorAnswer: Any = described(
    "Preprocessor",
    Preprocessor,
    Answer,
    changed=dict.fromkeys(("processor_res", "threshold_a", "threshold_b"), ParameterAnswer | None),
)


class PreprocessorsAnswer(Answer):
    """All preprocessors."""

    preprocessors: list[PreprocessorAnswer]
    """Those that are not ready, too; `missing` says what they want."""


class PreprocessBody(Body):
    """A picture that is to be prepared, as a control of a generation has it prepared."""

    preprocessor: str = Field(description="A name of `GET /preprocessors`.")
    image: str = Field(description="Base64, a data URI, `upload:ID` or `picture:ID`.")
    mask_image: str | None = Field(None, description="Likewise, white where the ControlNet is to see nothing.")
    processor_res: int | None = Field(None, description="Pixels of the shorter side that it works at; 0: as drawn.")
    threshold_a: float | None = Field(None, description="The preprocessor's first number.")
    threshold_b: float | None = Field(None, description="Its second.")
    width: int | None = Field(None, description="Pixels that it is brought to; default: as it comes.")
    height: int | None = Field(None, description="Likewise; both or none.")
    resize_mode: str | None = Field(None, description="How: `just_resize`, `crop_and_resize` or `resize_and_fill`.")


class PreparedAnswer(Answer):
    """A picture as a ControlNet looks at it."""

    image_base64: str
    """Its file, a PNG."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    warnings: list[str]
    """Worth knowing, not fatal."""


_EXAMPLE = {"preprocessor": "canny", "image": SAMPLE, "width": 64, "height": 64}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": inlined(PreprocessBody), "example": _EXAMPLE}},
    }
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture, as `Accept` asks for.", "content": {"image/*": _BINARY}}
}


@router.get("/preprocessors", response_model=PreprocessorsAnswer)
async def preprocessors(gateway: GatewayOf) -> Any:
    """What pictures can be prepared with, each with its numbers."""
    return {"preprocessors": await gateway.client.preprocessors()}


@router.post("/preprocess", response_model=PreparedAnswer, openapi_extra=_BODY, responses=_ANSWERS)
async def preprocess(request: Request, gateway: GatewayOf, caller: CallerOf) -> Response:
    """What a ControlNet would look at; nothing is drawn. `Accept` chooses JSON, or the PNG itself."""
    body: PreprocessBody = await parsed(PreprocessBody, await request.body())
    numbers = body.model_dump(exclude={"preprocessor", "image", "mask_image"})
    mask = body.mask_image and await image_of(gateway, caller, body.mask_image, "mask_image")
    image = await image_of(gateway, caller, body.image, "image")
    made = await gateway.client.preprocess(body.preprocessor, image, mask_image=mask or None, **numbers)
    accepted = request.headers.get("accept", "").lower()
    if "image/" in accepted and "application/json" not in accepted:
        return Response(made.png, media_type="image/png")
    width, height = made.image.size
    text = (await asyncio.to_thread(base64.b64encode, made.png)).decode()
    return JSONResponse({"image_base64": text, "width": width, "height": height, "warnings": made.warnings})
