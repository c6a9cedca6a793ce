"""What the extension serves below `/controlnet`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from triptych.errors import NotFoundError
from triptych_gateway.a1111 import checkpoints
from triptych_gateway.a1111.answers import json_answer
from triptych_gateway.a1111.controlnet import image_prompts, preprocessors
from triptych_gateway.a1111.controlnet.controls import controlnets
from triptych_gateway.a1111.controlnet.types import types_of
from triptych_gateway.a1111.controlnet.unit import Name
from triptych_gateway.a1111.images import encoded
from triptych_gateway.a1111.words import in_their_words
from triptych_gateway.errors import HttpError
from triptych_gateway.gateway import Gateway, GatewayOf
from triptych_gateway.incoming.images import image_file

router = APIRouter(prefix="/controlnet")

# Of the extension's API, which clients look at.
_VERSION = 2
_MOST_IMAGES = 100

Labels = Annotated[bool, Query(description="Names as the extension's menu has them.")]


class Detect(BaseModel):
    """POST /controlnet/detect."""

    model_config = ConfigDict(allow_inf_nan=False)

    controlnet_module: Name = "none"
    controlnet_input_images: Annotated[
        list[str],
        # The latter is webuiapi's.
        Field(max_length=_MOST_IMAGES, validation_alias=AliasChoices("controlnet_input_images", "controlnet_images")),
    ] = []
    controlnet_processor_res: int = -1
    controlnet_threshold_a: float = -1
    controlnet_threshold_b: float = -1
    controlnet_masks: Annotated[list[str], Field(max_length=_MOST_IMAGES)] = []
    low_vram: bool = False


@router.get("/version")
async def version() -> dict[str, int]:
    """Of the extension's API."""
    return {"version": _VERSION}


@router.get("/model_list")
async def model_list(gateway: GatewayOf) -> dict[str, list[str]]:
    """ControlNets and IP-Adapters that are registered, with their short hashes once those are known."""
    nets, adapters = await _titles(gateway)
    return {"model_list": [*nets, *adapters]}


@router.get("/module_list")
async def module_list(gateway: GatewayOf, alias_names: Labels = False) -> dict[str, Any]:
    """Preprocessors, and their sliders."""
    offered = await gateway.client.preprocessors()
    names = {preprocessors.label_of(each) if alias_names else each.name: each for each in offered}
    plain = {name: {"model_free": False, "sliders": []} for name in (preprocessors.NONE, *image_prompts.MODULES)}
    details = plain | {name: preprocessors.detail_of(each) for name, each in names.items()}
    return {"module_list": [preprocessors.NONE, *names, *image_prompts.MODULES], "module_detail": details}


@router.get("/control_types")
async def control_types(gateway: GatewayOf) -> dict[str, Any]:
    """Which of them go together."""
    return {"control_types": types_of(await gateway.client.preprocessors(), *await _titles(gateway))}


@router.get("/settings")
async def settings(gateway: GatewayOf) -> dict[str, int]:
    """How many units a call may have."""
    return {"control_net_unit_count": (await gateway.client.server_info()).limits.max_controls}


@router.post("/detect")
async def detect(request: Detect, gateway: GatewayOf) -> Response:
    """What pictures become by a preprocessor."""
    if image_prompts.is_module(request.controlnet_module):
        raise HttpError(422, f"controlnet_module: {request.controlnet_module!r} makes no picture")
    try:
        offered = await gateway.client.preprocessors()
        preprocessor = preprocessors.find(offered, request.controlnet_module, "controlnet_module")
    except NotFoundError as error:
        raise HttpError(422, error.message) from error
    count = len(request.controlnet_input_images)
    if not count:
        raise HttpError(422, "controlnet_input_images: No image selected")
    needs_mask = preprocessor is not None and preprocessor.needs_mask
    if needs_mask and len(request.controlnet_masks) != count:
        raise HttpError(422, f"controlnet_masks: must be {count}, for {request.controlnet_module} requires a mask each")
    masks = request.controlnet_masks if needs_mask else [None] * count
    name = preprocessor.name if preprocessor else preprocessors.NONE
    given = {name.removeprefix("controlnet_"): value for name, value in request.model_dump().items()}
    numbers = preprocessors.numbers_of(preprocessor, given)
    made = [await _detected(gateway, name, numbers, request, index, masks[index]) for index in range(count)]
    images = await asyncio.to_thread(lambda: [encoded(file) for file in made])
    return json_answer({"images": images, "info": "Success"})


async def _detected(
    gateway: Gateway, name: str, numbers: dict[str, Any], request: Detect, index: int, mask: str | None
) -> bytes:
    fields = {"image": f"controlnet_input_images[{index}]", "mask_image": f"controlnet_masks[{index}]"}
    image = await image_file(request.controlnet_input_images[index], fields["image"], gateway.settings)
    white = mask and await image_file(mask, fields["mask_image"], gateway.settings)
    with in_their_words({**fields, "preprocessor": "controlnet_module"}):
        return (await gateway.client.preprocess(name, image, mask_image=white or None, **numbers)).png


async def _titles(gateway: Gateway) -> tuple[list[str], list[str]]:
    """ControlNets', and IP-Adapters'."""
    known = await gateway.client.checkpoints()
    nets, adapters = controlnets(known), image_prompts.prompting(known)
    return [checkpoints.title(each) for each in nets], [checkpoints.title(each) for each in adapters]
