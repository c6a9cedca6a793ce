"""What is sent to the images API: its own fields, and any generation parameter of ours as a field more."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Literal

from fastapi import Request
from pydantic import Field
from starlette.datastructures import FormData, UploadFile

from triptych.errors import invalid
from triptych.sdk.parameters import GenerateParameters
from triptych_gateway.described import Body, described
from triptych_gateway.rest.bodies import parsed
from triptych_gateway.rest.parameters import AS_JSON

# For `quality`, where neither the request nor its preset says how many steps.
STEPS = {"low": 15, "medium": 30, "standard": 30, "high": 50, "hd": 50, "xhigh": 75, "max": 100}
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
# In a form these are text whatever they look like; others may be JSON.
_TEXTS = {
    "prompt", "prompt_2", "negative_prompt", "negative_prompt_2", "model", "size", "user", "safety_identifier",
    "scheduler", "vae", "refiner",
}  # fmt: skip
_FILES = ("image", "mask")


class _ImagesBody(Body):
    model: str | None = Field(None, description="A name of `/v1/models`; default: the server's first checkpoint.")
    n: int | None = Field(None, ge=1, le=1000, description="How many; default 1.")
    size: str | None = Field(None, description="`WIDTHxHEIGHT` in pixels; `auto`, the default: the checkpoint's own.")
    quality: Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"] | None = Field(
        None, description="How many steps: 15, 30, 50, 75 or 100; `auto`, the default: as the server has it."
    )
    output_format: Literal["png", "jpeg", "webp"] | None = Field(None, description="Default `png`.")
    output_compression: int | None = Field(None, ge=0, le=100, description="A JPEG's or WebP's quality.")
    background: Literal["auto", "opaque", "transparent"] | None = Field(
        None, description="Pictures are opaque; `transparent` is refused."
    )
    response_format: Literal["b64_json", "url"] | None = Field(
        None, description="`b64_json`, the default, or `url`, an address that is good for an hour."
    )
    stream: bool | None = Field(None, description="Sends events instead of one answer.")
    partial_images: int | None = Field(None, ge=0, le=3, description="How many previews a stream has; default 0.")
    steps: int | None = Field(None, description="Another name of `num_inference_steps`.")
    moderation: str | None = Field(None, description="Taken, and without effect.")
    style: str | None = Field(None, description="Taken, and without effect.")
    user: str | None = Field(None, description="Taken, and without effect.")
    safety_identifier: str | None = Field(None, description="Taken, and without effect.")
    input_fidelity: str | None = Field(None, description="Taken, and without effect.")


class _PromptedBody(_ImagesBody):
    prompt: str = Field(description="What the picture shows.")


class _EditBody(_PromptedBody):
    image: str | list[str] | None = Field(
        None, description="The picture to edit: base64, a data URI, or a form's file."
    )
    mask: str | None = Field(None, description="A PNG as large, transparent where the picture is to be drawn anew.")


class _VariationBody(_ImagesBody):
    prompt: str = Field("", description="What the picture shows; it may be left out.")
    image: str | list[str] | None = Field(
        None, description="The picture to vary: base64, a data URI, or a form's file."
    )


# Told by the API's own fields.
_TOLD_OTHERWISE = (
    "checkpoint", "image", "mask_image", "num_images_per_prompt", "image_format", "quality", "width", "height",
    "preview_every_steps", "request_id",
)  # fmt: skip


def _with_ours(name: str, base: type[Body]) -> Any:
    return described(name, GenerateParameters, base, AS_JSON, without=_TOLD_OTHERWISE)


GenerationBody = _with_ours("ImageGenerationBody", _PromptedBody)
EditBody = _with_ours("ImageEditBody", _EditBody)
VariationBody = _with_ours("ImageVariationBody", _VariationBody)
_OWN = {*_ImagesBody.model_fields, "prompt", "image", "mask"}


async def read(request: Request, kind: Any) -> tuple[Any, dict[str, list[bytes]]]:
    """A body of that kind, and the files that came with it by their fields."""
    content_type = request.headers.get("content-type", "").lower()
    if not content_type.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        return await parsed(kind, await request.body()), {}
    async with request.form() as form:
        files = await _files(form)
        values = _values(form)
    return await parsed(kind, await asyncio.to_thread(lambda: json.dumps(values).encode())), files


def parameters_of(body: Any) -> dict[str, Any]:
    """For the SDK's `generate`: ours as they came, and what the API's own fields say."""
    parameters: dict[str, Any] = body.model_dump(exclude_none=True, exclude=_OWN)
    if body.background == "transparent":
        raise invalid("background", "transparent pictures cannot be drawn; it must be opaque or auto")
    if body.steps is not None:
        if body.num_inference_steps is not None:
            raise invalid("steps", "is given twice, as num_inference_steps too")
        parameters["num_inference_steps"] = body.steps
    elif body.quality in STEPS:
        parameters.setdefault("num_inference_steps", STEPS[body.quality])
    if body.size not in (None, "", "auto"):
        parameters["width"], parameters["height"] = _size(body.size)
    if body.n is not None:
        parameters["num_images_per_prompt"] = body.n
    if body.output_format is not None:
        parameters["image_format"] = body.output_format
    if body.output_compression is not None and body.output_format in ("jpeg", "webp"):
        parameters["quality"] = max(1, body.output_compression)
    return parameters


def _size(given: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(given)
    if match is None:
        raise invalid("size", f"{given!r} must be auto, or a width and a height in pixels: 1024x768")
    return int(match[1]), int(match[2])


async def _files(form: FormData) -> dict[str, list[bytes]]:
    files: dict[str, list[bytes]] = {}
    for name, part in form.multi_items():
        if isinstance(part, UploadFile):
            field = name.removesuffix("[]")
            if field not in _FILES:
                raise invalid(field, f"cannot be a file; those that can are {' and '.join(_FILES)}")
            files.setdefault(field, []).append(await part.read())
    return files


def _values(form: FormData) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, part in form.multi_items():
        if isinstance(part, str):
            if name.endswith("[]"):
                values.setdefault(name[:-2], []).append(_value(name[:-2], part))
            else:
                values[name] = _value(name, part)
    return values


def _value(field: str, text: str) -> Any:
    if field in _TEXTS:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
