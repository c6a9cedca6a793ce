"""A generation's request as it comes in: JSON, or multipart with the JSON in the part `request` and files beside it."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from triptych.errors import InvalidArgumentError, invalid
from triptych.sdk.images import IMAGE_FIELDS
from triptych_gateway.caller import Caller
from triptych_gateway.gateway import Gateway
from triptych_gateway.incoming.images import image_file
from triptych_gateway.rest.parameters import GenerateBody, parameters_of

_KINDS = ("str", "int", "float", "bool")
_MOST_JSON_BYTES = 64 << 20


async def generation_of(request: Request) -> tuple[Any, dict[str, list[bytes]]]:
    """A `GenerateBody`, and the files that came beside it by their fields."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await parsed(GenerateBody, await request.body()), {}
    files: dict[str, list[bytes]] = {}
    async with request.form(max_part_size=_MOST_JSON_BYTES) as form:
        text = form.get("request")
        for name, part in form.multi_items():
            if name != "request" and (name not in IMAGE_FIELDS or not isinstance(part, UploadFile)):
                raise invalid(name, f"is no part of this; there are request, and the files {', '.join(IMAGE_FIELDS)}")
            if name != "request" and isinstance(part, UploadFile):
                files.setdefault(name, []).append(await part.read())
        raw = await text.read() if isinstance(text, UploadFile) else (text or "").encode()
    body = await parsed(GenerateBody, raw)
    for name in files:
        if getattr(body, name) is not None:
            raise invalid(name, "is given twice, in the JSON and as a file")
    return body, files


async def parsed(kind: Any, raw: bytes) -> Any:
    """A body of that kind; InvalidArgumentError about the first field that is wrong."""
    try:
        return await asyncio.to_thread(kind.model_validate_json, raw)
    except ValidationError as error:
        raise _first(error) from error


async def drawing_of(
    gateway: Gateway, caller: Caller, body: Any, files: dict[str, list[bytes]]
) -> tuple[str, dict[str, Any]]:
    """The prompt and what the SDK's `generate` takes beside it, images as files."""
    parameters = parameters_of(body) | files
    for field in IMAGE_FIELDS.keys() & parameters.keys() - files.keys():
        given = parameters[field]
        texts = [given] if isinstance(given, str) else given
        parameters[field] = [await image_of(gateway, caller, text, field) for text in texts]
    return body.prompt, parameters


def told(body: Any, files: dict[str, list[bytes]]) -> dict[str, Any]:
    """The request for whoever lists tasks: as it was given, without the images that came with it."""
    request = {"prompt": body.prompt, **parameters_of(body), **dict.fromkeys(files, "inline")}
    for field in IMAGE_FIELDS.keys() & request.keys():
        given = request[field]
        texts = [given] if isinstance(given, str) else given
        shown = [text if text.startswith(("picture:", "upload:")) else "inline" for text in texts]
        request[field] = shown[0] if len(shown) == 1 else shown
    return request


async def image_of(gateway: Gateway, caller: Caller, text: str, field: str) -> bytes:
    """The file of an image that stands in a request as text; errors are about the field."""
    source, _, identity = text.partition(":")
    if source == "upload":
        return await asyncio.to_thread((await gateway.uploads.path(caller, identity, "image")).read_bytes)
    if source == "picture":
        return await gateway.pictures.file(caller, identity)
    return await image_file(text, field, gateway.settings)


def _first(error: ValidationError) -> InvalidArgumentError:
    first = error.errors(include_url=False, include_input=False)[0]
    parts = [str(part) for part in first["loc"]]
    field = ".".join(part for part in parts if part not in _KINDS and "[" not in part) or "body"
    return invalid(field, str(first["msg"]))
