"""Checkpoints and LoRAs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from triptych_gateway.described import Answer
from triptych_gateway.gateway import GatewayOf
from triptych_gateway.rest.server import CheckpointAnswer, LoraAnswer

router = APIRouter(tags=["models"])


class CheckpointsAnswer(Answer):
    """All checkpoints."""

    checkpoints: list[CheckpointAnswer]
    """By name."""


class LorasAnswer(Answer):
    """All LoRAs."""

    loras: list[LoraAnswer]
    """By name."""


@router.get("/checkpoints", response_model=CheckpointsAnswer)
async def checkpoints(gateway: GatewayOf) -> Any:
    """Those that the server knows, whether or not they are loaded."""
    return {"checkpoints": await gateway.client.checkpoints()}


@router.get("/loras", response_model=LorasAnswer)
async def loras(gateway: GatewayOf) -> Any:
    """Those that the server keeps."""
    return {"loras": await gateway.client.loras()}
