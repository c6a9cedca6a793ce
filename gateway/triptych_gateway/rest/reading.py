"""What pictures say of how they were made, and whether they are made the same again."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.datastructures import UploadFile

from triptych.errors import invalid
from triptych.sdk.reading.verifying import agreement_of, asked_again
from triptych_gateway.caller import Caller, CallerOf
from triptych_gateway.described import Answer, Body
from triptych_gateway.gateway import Gateway, GatewayOf
from triptych_gateway.kept.records import is_id
from triptych_gateway.rest.bodies import parsed
from triptych_gateway.rest.documents import picture_body
from triptych_gateway.rest.images import image_of

router = APIRouter(tags=["reading"])


class PictureBody(Body):
    """A picture."""

    picture: str
    """The id of a kept one; or base64, a data URI, or `upload:ID`."""
    files: list[str] = Field(default_factory=list)
    """Images and masks that it was made from, likewise, which no picture holds; in multipart the parts `files`."""


class RequestAnswer(Answer):
    """How a picture was made."""

    request: dict[str, Any]
    """The parameters that make it again, as `POST /generate` takes them."""
    left_out: list[str]
    """What it says besides, and they do not ask for, each with its reason."""
    origin: str
    """Who wrote it down: `triptych`, `a1111` or `comfyui`."""
    index: int
    """Which of the pictures that the request makes it is."""
    files: dict[str, list[str]]
    """SHA-256 of the images that it was made from, by parameters, `image` say."""


class VerifiedAnswer(Answer):
    """How far a picture is the one that is made now."""

    same: bool
    """Whether all pixels agree."""
    same_file: bool
    """Whether it is the same file to the byte."""
    pixels: int
    """How many differ."""
    farthest: int
    """By how much at most, of 255."""
    differences: list[str]
    """Which of the digests, engines or versions are others by now, and what else is not as the picture says."""


@router.post("/request-from", openapi_extra=picture_body(PictureBody))
async def request_from(request: Request, gateway: GatewayOf, caller: CallerOf) -> RequestAnswer:
    """Reads how a picture was made: one of Triptych's, A1111's or ComfyUI's."""
    picture, _ = await _pictures(request, gateway, caller)
    told = await gateway.client.request_from(picture)
    return RequestAnswer(
        request=told.parameters, left_out=told.left_out, origin=told.origin, index=told.index, files=told.files
    )


@router.post("/verify", openapi_extra=picture_body(PictureBody))
async def verify(request: Request, gateway: GatewayOf, caller: CallerOf) -> VerifiedAnswer:
    """Makes a picture again of what it says of itself, and compares."""
    picture, files = await _pictures(request, gateway, caller)
    told = await gateway.client.request_from(picture)
    prompt, parameters = asked_again(told, {hashlib.sha256(file).hexdigest(): file for file in files})
    made = await gateway.tasks.run(caller, lambda task: task.generate(prompt, **parameters), label=prompt)
    found = await asyncio.to_thread(agreement_of, picture, told, made.files)
    return VerifiedAnswer(
        same=found.difference.pixels == 0,
        same_file=found.is_same_file,
        pixels=found.difference.pixels,
        farthest=found.difference.farthest,
        differences=found.explanations,
    )


async def _pictures(request: Request, gateway: Gateway, caller: Caller) -> tuple[bytes, list[bytes]]:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        body = await parsed(PictureBody, await request.body())
        texts = [f"picture:{text}" if is_id(text) else text for text in (body.picture, *body.files)]
        first, *rest = [await image_of(gateway, caller, text, "picture") for text in texts]
        return first, rest
    async with request.form() as form:
        picture = form.get("picture")
        if not isinstance(picture, UploadFile):
            raise invalid("picture", "must be a file")
        files = [await part.read() for part in form.getlist("files") if isinstance(part, UploadFile)]
        return await picture.read(), files
