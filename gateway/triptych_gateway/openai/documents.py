"""What the OpenAPI page says of the images API."""

from __future__ import annotations

from typing import Any

from triptych_gateway.described import Answer
from triptych_gateway.rest.documents import SAMPLE, inlined

_EXAMPLE = {"prompt": "a large red circle on a white background", "size": "128x128", "steps": 4, "seed": 7}
_EDIT = _EXAMPLE | {"image": SAMPLE, "strength": 0.6}


class ImageAnswer(Answer):
    """A picture."""

    b64_json: str | None = None
    """Its file as base64."""
    url: str | None = None
    """Where its file is, for an hour, where `response_format` is `url`."""
    seed: int
    """With which it is drawn again."""


class ImagesAnswer(Answer):
    """All pictures of a request."""

    created: int
    """When, in seconds since 1970."""
    data: list[ImageAnswer]
    """Each of them."""
    background: str
    """`opaque`."""
    output_format: str
    """`png`, `jpeg` or `webp`."""
    quality: str
    """As it was asked for."""
    size: str
    """`WIDTHxHEIGHT` in pixels."""
    warnings: list[str]
    """Worth knowing, not fatal."""


class OpenAiErrorDetail(Answer):
    """What went wrong, and about which field."""

    message: str
    """For people."""
    type: str
    """`invalid_request_error` or `server_error`."""
    param: str | None
    """The field that it is about."""
    code: str
    """A word for programs."""


class OpenAiErrorAnswer(Answer):
    """How every failure is told."""

    error: OpenAiErrorDetail
    """The failure."""


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": OpenAiErrorAnswer, "description": "The request is wrong, or cannot be served as things are."},
    "5XX": {"model": OpenAiErrorAnswer, "description": "The server or a stage is down."},
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The pictures; with `stream` events, the last of which bring them.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


def json_body(model: Any) -> dict[str, Any]:
    """Of a route that takes JSON."""
    content = {"application/json": {"schema": inlined(model), "example": _EXAMPLE}}
    return {"requestBody": {"required": True, "content": content}}


def form_body(model: Any) -> dict[str, Any]:
    """Of a route that takes a form with files, or JSON."""
    schema = inlined(model)
    files = {name: {"type": "string", "format": "binary"} for name in ("image", "mask") if name in schema["properties"]}
    told = {name: {**schema["properties"][name], **each} for name, each in files.items()}
    for each in told.values():
        each.pop("anyOf", None), each.pop("default", None)
    form = schema | {"properties": schema["properties"] | told, "required": [*schema.get("required", []), "image"]}
    content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": schema, "example": _EDIT}}
    return {"requestBody": {"required": True, "content": content}}
