"""A generation's request as it comes in: JSON, or multipart with the JSON in the part `request` and files beside it."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from triptych.errors import InvalidArgumentError, invalid
from triptych_gateway.caller import Caller
from triptych_gateway.gateway import Gateway
from triptych_gateway.rest.images import beside, is_image, shown, with_files
from triptych_gateway.rest.parameters import GenerateBody, parameters_of

_KINDS = ("str", "int", "float", "bool")
_MOST_JSON_BYTES = 64 << 20
_PARTS = "image, mask_image, controls[0].image and ip_adapters[0].image"


async def generation_of(request: Request) -> tuple[Any, dict[str, list[bytes]]]:
    """A `GenerateBody`, and the files that came beside it by their fields."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await parsed(GenerateBody, await request.body()), {}
    files: dict[str, list[bytes]] = {}
    async with request.form(max_part_size=_MOST_JSON_BYTES) as form:
        text = form.get("request")
        for name, part in form.multi_items():
            if name != "request" and not (is_image(name) and isinstance(part, UploadFile)):
                raise invalid(name, f"is no part of this; there are request, and the files {_PARTS}")
            if name != "request" and isinstance(part, UploadFile):
                files.setdefault(name, []).append(await part.read())
        raw = await text.read() if isinstance(text, UploadFile) else (text or "").encode()
    return await parsed(GenerateBody, raw), files


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
    return body.prompt, await with_files(gateway, caller, beside(parameters_of(body), files))


def told(body: Any, files: dict[str, list[bytes]]) -> dict[str, Any]:
    """The request for whoever lists tasks: as it was given, without the images that came with it."""
    return {"prompt": body.prompt, **shown(beside(parameters_of(body), files))}


def _first(error: ValidationError) -> InvalidArgumentError:
    first = error.errors(include_url=False, include_input=False)[0]
    parts = [part for part in first["loc"] if isinstance(part, int) or not (part in _KINDS or "[" in part)]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return invalid(field.removeprefix(".") or "body", str(first["msg"]))
