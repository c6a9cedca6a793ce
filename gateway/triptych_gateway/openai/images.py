"""Pictures drawn, edited and varied."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from triptych.errors import invalid
from triptych_gateway.caller import Caller, CallerOf
from triptych_gateway.gateway import Gateway, GatewayOf
from triptych_gateway.incoming.images import image_file
from triptych_gateway.openai.answering import Drawing
from triptych_gateway.openai.bodies import EditBody, GenerationBody, VariationBody, parameters_of, read
from triptych_gateway.openai.documents import ANSWERS, ImagesAnswer, form_body, json_body
from triptych_gateway.openai.masks import white_where_transparent
from triptych_gateway.openai.models import model_of
from triptych_gateway.rest.images import with_files

router = APIRouter(prefix="/images", tags=["openai"])

_VARIATION_STRENGTH = 0.7


@router.post("/generations", response_model=ImagesAnswer, responses=ANSWERS, openapi_extra=json_body(GenerationBody))
async def generations(request: Request, gateway: GatewayOf, caller: CallerOf) -> Response:
    """Draws pictures of a prompt."""
    body, files = await read(request, GenerationBody)
    for name in files:
        raise invalid(name, "is not taken here; edits take pictures")
    parameters = await _parameters(gateway, caller, body)
    return await Drawing(gateway, caller, request, body.prompt, parameters, body, "image_generation").answer()


@router.post("/edits", response_model=ImagesAnswer, responses=ANSWERS, openapi_extra=form_body(EditBody))
async def edits(request: Request, gateway: GatewayOf, caller: CallerOf) -> Response:
    """Draws a picture anew as the prompt says, where the mask is transparent or, without one, everywhere."""
    body, files = await read(request, EditBody)
    parameters = await _parameters(gateway, caller, body)
    image = await _image(gateway, body, files)
    mask = await _mask(gateway, body, files, image)
    parameters |= {"image": image} | ({"mask_image": mask} if mask is not None else {})
    return await Drawing(gateway, caller, request, body.prompt, parameters, body, "image_edit").answer()


@router.post("/variations", response_model=ImagesAnswer, responses=ANSWERS, openapi_extra=form_body(VariationBody))
async def variations(request: Request, gateway: GatewayOf, caller: CallerOf) -> Response:
    """Draws a picture again, much like it."""
    body, files = await read(request, VariationBody)
    parameters = {"strength": _VARIATION_STRENGTH} | await _parameters(gateway, caller, body)
    parameters["image"] = await _image(gateway, body, files)
    return await Drawing(gateway, caller, request, body.prompt, parameters, body, "image_edit").answer()


async def _parameters(gateway: Gateway, caller: Caller, body: Any) -> dict[str, Any]:
    """The model's, and over them the request's, with its ControlNets' pictures; LoRAs of both."""
    model, asked = await model_of(gateway, body.model), await with_files(gateway, caller, parameters_of(body))
    loras = [*model.loras, *asked.pop("loras", [])]
    return model.defaults | asked | {"checkpoint": model.checkpoint} | ({"loras": loras} if loras else {})


async def _image(gateway: Gateway, body: Any, files: dict[str, list[bytes]]) -> bytes:
    texts = [body.image] if isinstance(body.image, str) else body.image or []
    given: list[Any] = [*files.get("image", []), *texts]
    if len(given) != 1:
        problem = "is missing; give the picture" if not given else "must be one: pictures cannot be combined here"
        raise invalid("image", problem)
    (image,) = given
    file: bytes = await image_file(image, "image", gateway.settings) if isinstance(image, str) else image
    return file


async def _mask(gateway: Gateway, body: Any, files: dict[str, list[bytes]], image: bytes) -> bytes | None:
    """The mask's, or else that of the picture's own transparency."""
    max_pixels = (await gateway.client.server_info()).limits.max_image_pixels
    given = files.get("mask", [None])[0]
    if given is None and body.mask:
        given = await image_file(body.mask, "mask", gateway.settings)
    if given is None:
        return await asyncio.to_thread(white_where_transparent, image, "image", max_pixels)
    mask = await asyncio.to_thread(white_where_transparent, given, "mask", max_pixels, image)
    if mask is None:
        raise invalid("mask", "has no transparent pixel: it must be a PNG that is transparent where to draw anew")
    return mask
