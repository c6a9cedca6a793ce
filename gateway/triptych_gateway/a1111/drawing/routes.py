"""POST txt2img and img2img."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter, Response

from triptych_gateway.a1111.answers import json_answer
from triptych_gateway.a1111.controlnet.controls import Controls, controls_of
from triptych_gateway.a1111.controlnet.maps import detected_maps
from triptych_gateway.a1111.drawing.from_images import images_of, with_batch
from triptych_gateway.a1111.drawing.hires import hires_of
from triptych_gateway.a1111.drawing.info import Picture
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
    server = await gateway.client.server_info()
    asked = asked_of(request, options, server).beside(hires_of(request))
    controls = await controls_of(request, server, gateway)
    return await _answer(request, asked, controls, options, gateway, caller, TXT2IMG)


@router.post("/img2img", response_model=Drawn)
async def img2img(request: Img2Img, gateway: GatewayOf, caller: CallerOf) -> Response:
    """Draws from images, and with a mask a part of them anew."""
    options = (await gateway.options.of(caller)).changed(request.override_settings)
    server = await gateway.client.server_info()
    request = with_batch(request)
    asked = asked_of(request, options, server)
    own = await images_of(request, asked.checkpoint, server.limits, gateway.settings)
    controls = await controls_of(request, server, gateway)
    return await _answer(request, asked.beside(own), controls, options, gateway, caller, IMG2IMG)


async def _answer(
    request: Common, asked: Asked, controls: Controls, options: Options, gateway: Gateway, caller: Caller, label: str
) -> Response:
    kind = "img2img" if label == IMG2IMG else "txt2img"
    keeping = await asyncio.to_thread(Keeping.of, request, options, gateway.settings, kind)
    asked = asked.beside(controls.parameters, controls.words)
    pictures = await drawn(gateway, caller, asked, label, request.force_task_id)
    is_seen = request.send_images and not options.control_net_no_detectmap
    maps = await detected_maps(gateway.client, controls.shown, _sizes(asked, pictures)) if is_seen else []
    if not request.override_settings_restore_afterwards:
        await gateway.options.choose(caller, options)
    return await asyncio.to_thread(lambda: json_answer(answer(keeping, asked, pictures, maps)))


def _sizes(asked: Asked, pictures: Sequence[Picture]) -> list[tuple[int, int]]:
    """Those of the passes; none where nothing was made."""
    first = (int(asked.parameters["width"] or 0), int(asked.parameters["height"] or 0))
    if not asked.parameters.get("hires"):
        return [first] if pictures else []
    return [first, *(picture.size for picture in pictures)] if pictures else []
