"""What FastAPI does not find out by itself for the OpenAPI page: bodies that routes read on their own, errors."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path

from triptych_gateway.described import Answer
from triptych_gateway.rest.parameters import GenerateBody


class ErrorDetail(Answer):
    """What went wrong, and about which field."""

    status: int
    """The HTTP status."""
    reason: str
    """A word for programs: `INVALID_ARGUMENT`, say."""
    message: str
    """For people: what is wrong, and what to do."""
    field: str | None = None
    """The field or parameter that it is about."""


class ErrorAnswer(Answer):
    """How every failure is told."""

    error: ErrorDetail
    """The failure."""


# FastAPI would tell of a status 422, which is never answered here.
ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorAnswer, "description": "The request is wrong, or cannot be served as things are."},
    "5XX": {"model": ErrorAnswer, "description": "The server or a stage is down."},
}


def inlined(model: Any) -> dict[str, Any]:
    """A model's JSON schema, other models in the places where they are spoken of."""
    schema: dict[str, Any] = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return filled(definitions[value["$ref"].rpartition("/")[2]])
            return {key: filled(each) for key, each in value.items()}
        return [filled(each) for each in value] if isinstance(value, list) else value

    filled_in: dict[str, Any] = filled(schema)
    return filled_in


# An image for examples: shades of grey, 8 by 8 pixels.
SAMPLE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAGklEQVR42mMUYIAAFnkYQxHGUCDMYHwPZQAALeQB2gvqqowAAAAASUVORK5CYII="
)
# Stands in the examples for the id of whatever the route is about.
EXAMPLE_ID = "186ae3f1c2d4b5a60123456789abcdef"

PictureId = Annotated[str, Path(description="A picture's id.")]
TaskId = Annotated[str, Path(description="A task's id.")]
UploadId = Annotated[str, Path(description="An upload's id.")]
Name = Annotated[str, Path(description="Its name in the list.")]


def example(body: Any) -> dict[str, Any]:
    """Of a route's JSON body."""
    return {"requestBody": {"content": {"application/json": {"example": body}}}}


_SCHEMA = inlined(GenerateBody)
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
_EXAMPLE = {"prompt": "a large red circle on a white background", "seed": 7, "num_inference_steps": 4}
_MULTIPART = {
    "type": "object",
    "required": ["request"],
    "properties": {
        "request": {"type": "string", "description": "The JSON body, without the images."},
        "image": {**_FILES, "description": "Files in the place of the body's `image`."},
        "mask_image": {**_FILES, "description": "Files in the place of the body's `mask_image`."},
        "controls[0].image": {
            "type": "string", "format": "binary",
            "description": "A file in the place of the body's `controls[0].image`; `controls[1].image` is the next.",
        },
        "ip_adapters[0].image": {
            **_FILES, "description": "Files in the place of the body's `ip_adapters[0].image`, looked at together.",
        },
    },
}  # fmt: skip

GENERATION_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _SCHEMA, "example": _EXAMPLE},
            "multipart/form-data": {"schema": _MULTIPART},
        },
    }
}

_BINARY = {"schema": {"type": "string", "format": "binary"}}
MADE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The pictures, as `Accept` asks for.",
        "content": {"image/*": _BINARY, "text/event-stream": {"schema": {"type": "string"}}},
    }
}


def picture_body(model: Any) -> dict[str, Any]:
    """Of routes that take a picture, by its id, as text, or as a file."""
    properties = {
        "picture": {"type": "string", "format": "binary", "description": "The file."},
        "files": {**_FILES, "description": "Images and masks that it was made from."},
    }
    multipart = {"type": "object", "required": ["picture"], "properties": properties}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": inlined(model), "example": {"picture": EXAMPLE_ID}},
                "multipart/form-data": {"schema": multipart},
            },
        }
    }
