"""POST txt2img."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from triptych_gateway.a1111.answers import json_answer
from triptych_gateway.a1111.drawing.hires import hires_of
from triptych_gateway.a1111.drawing.parameters import asked_of
from triptych_gateway.a1111.drawing.requests import Drawn, Txt2Img
from triptych_gateway.a1111.drawing.work import answer, drawn
from triptych_gateway.a1111.progress import TXT2IMG
from triptych_gateway.caller import CallerOf
from triptych_gateway.gateway import GatewayOf

router = APIRouter()


@router.post("/txt2img", response_model=Drawn)
async def txt2img(request: Txt2Img, gateway: GatewayOf, caller: CallerOf) -> Response:
    """Draws from text."""
    options = gateway.options.of(caller).changed(request.override_settings)
    asked = asked_of(request, options, await gateway.client.server_info(), hires_of(request))
    pictures = await drawn(gateway, caller, asked, TXT2IMG, request.force_task_id)
    if not request.override_settings_restore_afterwards:
        gateway.options.choose(caller, options)
    echo: dict[str, Any] = {**request.model_dump(), "script_args": []}
    return json_answer(await asyncio.to_thread(answer, request, asked, options, pictures, echo))
