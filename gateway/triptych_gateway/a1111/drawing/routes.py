"""POST txt2img and img2img."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from triptych_gateway.a1111.answers import json_answer
from triptych_gateway.a1111.drawing.from_images import images_of, with_batch
from triptych_gateway.a1111.drawing.hires import hires_of
from triptych_gateway.a1111.drawing.keeping import Keeping
from triptych_gateway.a1111.drawing.parameters import Asked, asked_of
from triptych_gateway.a1111.drawing.requests import Common, Drawn, Img2Img, Txt2Img
from triptych_gateway.a1111.drawing.work import answer, drawn
from triptych_gateway.a1111.options import Options
from triptych_gateway.a1111.progress import IMG2IMG, TXT2IMG
from triptych_gateway.caller import Caller, CallerOf
from triptych_gateway.gateway import Gateway, GatewayOf

router = APIRouter()


@router.post("/txt2img", response_model=Drawn)
async def txt2img(request: Txt2Img, gateway: GatewayOf, caller: CallerOf) -> Response:
    """Draws from text."""
    options = (await gateway.options.of(caller)).changed(request.override_settings)
    asked = asked_of(request, options, await gateway.client.server_info()).beside(hires_of(request))
    return await _answer(request, asked, options, gateway, caller, TXT2IMG)


@router.post("/img2img", response_model=Drawn)
async def img2img(request: Img2Img, gateway: GatewayOf, caller: CallerOf) -> Response:
    """Draws from images, and with a mask a part of them anew."""
    options = (await gateway.options.of(caller)).changed(request.override_settings)
    server = await gateway.client.server_info()
    request = with_batch(request)
    asked = asked_of(request, options, server)
    own = await images_of(request, asked.checkpoint, server.limits, gateway.settings)
    return await _answer(request, asked.beside(own), options, gateway, caller, IMG2IMG)


async def _answer(
    request: Common, asked: Asked, options: Options, gateway: Gateway, caller: Caller, label: str
) -> Response:
    kind = "img2img" if label == IMG2IMG else "txt2img"
    keeping = await asyncio.to_thread(Keeping.of, request, options, gateway.settings, kind)
    pictures = await drawn(gateway, caller, asked, label, request.force_task_id)
    if not request.override_settings_restore_afterwards:
        await gateway.options.choose(caller, options)
    return await asyncio.to_thread(lambda: json_answer(answer(keeping, asked, pictures)))
