"""Pictures made larger, and what pictures say of how they were made."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from triptych.errors import CancelledError, InvalidArgumentError, invalid
from triptych.sdk.reading.infotext import parts_of
from triptych.sdk.reading.texts import texts_of
from triptych_gateway.a1111.answers import json_answer
from triptych_gateway.a1111.drawing.hires import upscaler_of
from triptych_gateway.a1111.drawing.info import infotext_of
from triptych_gateway.a1111.drawing.parameters import file_of
from triptych_gateway.a1111.drawing.resizing import CROP, extent, shaped
from triptych_gateway.a1111.images import encoded
from triptych_gateway.a1111.progress import EXTRAS
from triptych_gateway.a1111.words import in_their_words
from triptych_gateway.caller import Caller, CallerOf
from triptych_gateway.gateway import Gateway, GatewayOf
from triptych_gateway.incoming.images import image_file
from triptych_gateway.task import Task

router = APIRouter()

_NONE = ("", "none")
_MOST_IMAGES = 100
# What is not here, and the value with which it does nothing.
_IDLE: Mapping[str, float] = {"gfpgan_visibility": 0, "codeformer_visibility": 0, "extras_upscaler_2_visibility": 0}


class Extras(BaseModel):
    """Of one picture or of many."""

    model_config = ConfigDict(allow_inf_nan=False)

    resize_mode: Literal[0, 1] = 0
    show_extras_results: bool = True
    gfpgan_visibility: float = 0
    codeformer_visibility: float = 0
    codeformer_weight: float = 0
    upscaling_resize: float = 2
    upscaling_resize_w: Annotated[int, Field(ge=1, le=1 << 20)] = 512
    upscaling_resize_h: Annotated[int, Field(ge=1, le=1 << 20)] = 512
    upscaling_crop: bool = True
    upscaler_1: Annotated[str, Field(max_length=1000)] = "None"
    upscaler_2: Annotated[str, Field(max_length=1000)] = "None"
    extras_upscaler_2_visibility: float = 0
    upscale_first: bool = False


class ExtrasSingle(Extras):
    """POST /sdapi/v1/extra-single-image."""

    image: str = ""


class NamedFile(BaseModel):
    """A picture as base64; its name is for the client alone."""

    data: str
    name: str = ""


class ExtrasBatch(Extras):
    """POST /sdapi/v1/extra-batch-images."""

    imageList: Annotated[list[NamedFile], Field(min_length=1, max_length=_MOST_IMAGES)]  # noqa: N815


class PngInfo(BaseModel):
    """POST /sdapi/v1/png-info."""

    image: str


@router.post("/extra-single-image")
async def extra_single_image(request: ExtrasSingle, gateway: GatewayOf, caller: CallerOf) -> Response:
    """Makes a picture larger."""
    file = await image_file(request.image, "image", gateway.settings)
    (made,) = await _enlarged(request, ["image"], [file], gateway, caller)
    return json_answer({"html_info": _html(made), "image": encoded(made)})


@router.post("/extra-batch-images")
async def extra_batch_images(request: ExtrasBatch, gateway: GatewayOf, caller: CallerOf) -> Response:
    """Makes pictures larger, one after the other."""
    fields = [f"imageList[{index}].data" for index in range(len(request.imageList))]
    given = zip(fields, request.imageList, strict=True)
    files = [await image_file(each.data, field, gateway.settings) for field, each in given]
    made = await _enlarged(request, fields, files, gateway, caller)
    return json_answer({"html_info": "".join(map(_html, made)), "images": [encoded(file) for file in made]})


@router.post("/png-info")
async def png_info(request: PngInfo, gateway: GatewayOf) -> dict[str, Any]:
    """What a picture says of how it was made, as the web UI writes it, and as fields."""
    file = await image_file(request.image, "image", gateway.settings)
    try:
        texts = await asyncio.to_thread(texts_of, file)
    except InvalidArgumentError as error:
        raise invalid("image", error.message.partition(": ")[2]) from error
    items = {"triptych": texts.request, "prompt": texts.workflow}
    return {
        "info": texts.parameters,
        "items": {name: text for name, text in items.items() if text},
        "parameters": _fields(texts.parameters) if texts.parameters else {},
    }


def _fields(infotext: str) -> dict[str, str]:
    prompt, negative, pairs = parts_of(infotext)
    for name in [name for name in pairs if name in ("Size", "Hires resize", "Seed resize from")]:
        width, _, height = pairs[name].partition("x")
        pairs |= {f"{name}-1": width, f"{name}-2": height}
        del pairs[name]
    return {"Prompt": prompt, "Negative prompt": negative, **pairs}


async def _enlarged(
    request: Extras, fields: Sequence[str], files: Sequence[bytes], gateway: Gateway, caller: Caller
) -> list[bytes]:
    """Each, or of an interrupted call CancelledError."""
    for field, idle in _IDLE.items():
        if getattr(request, field) != idle:
            raise invalid(field, f"is not supported here; leave it out, or send {idle}")
    most_pixels = (await gateway.client.server_info()).limits.max_image_pixels
    kind = file_of(await gateway.options.of(caller))

    made: list[bytes] = []

    async def work(task: Task[None]) -> None:
        for field, file in zip(fields, files, strict=True):
            if task.is_interrupted:
                raise CancelledError("the call was interrupted")
            image, size = await asyncio.to_thread(_prepared, request, field, file, most_pixels)
            if request.upscaler_1.lower() in _NONE:
                made.append(image)
                continue
            upscale = {"upscaler": upscaler_of(request.upscaler_1), **size}
            with in_their_words({"images": field}):
                made.extend((await task.generate("", image=image, upscale=upscale, **kind)).files)

    await gateway.tasks.run(caller, work, jobs=len(files), label=EXTRAS)
    return made


def _prepared(request: Extras, field: str, file: bytes, most_pixels: int) -> tuple[bytes, dict[str, Any]]:
    """The picture, cut to the shape that is wanted, and how large it is to be."""
    width, height = extent(field, file, most_pixels)
    if request.resize_mode == 0:
        return file, {"scale": request.upscaling_resize}
    wanted = (request.upscaling_resize_w, request.upscaling_resize_h)
    if request.upscaling_crop:
        return shaped(field, file, CROP, wanted, most_pixels), {"width": wanted[0], "height": wanted[1]}
    is_wider = wanted[0] * height >= wanted[1] * width  # than the picture, for its height
    return file, {"width": wanted[0]} if is_wider else {"height": wanted[1]}


def _html(file: bytes) -> str:
    return f"<p>{html.escape(infotext_of(file).strip())}</p>"
