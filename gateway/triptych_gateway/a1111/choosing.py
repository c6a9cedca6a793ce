"""Options and checkpoints: what a caller chooses, and what is loaded for it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from triptych import AsyncClient
from triptych.sdk.catalog import Checkpoint
from triptych_gateway.a1111 import checkpoints
from triptych_gateway.a1111.drawing.parameters import chosen
from triptych_gateway.a1111.options import Options
from triptych_gateway.caller import CallerOf
from triptych_gateway.gateway import GatewayOf

router = APIRouter()


@router.get("/options", response_model=Options)
async def options(gateway: GatewayOf, caller: CallerOf) -> Options:
    """The caller's."""
    own = gateway.options.of(caller)
    drawing = checkpoints.drawing(await gateway.client.checkpoints())
    if not drawing:
        return own
    checkpoint = chosen(own, drawing)
    told = {"sd_model_checkpoint": checkpoints.title(checkpoint), "sd_checkpoint_hash": checkpoint.sha256}
    return own.model_copy(update=told)


@router.post("/options")
async def set_options(given: Annotated[dict[str, Any], Body()], gateway: GatewayOf, caller: CallerOf) -> None:
    """Changes some of the caller's; a checkpoint is loaded, and what it needs built, before the answer comes."""
    own = gateway.options.of(caller).changed({**given, "sd_checkpoint_hash": None})
    if given.get("sd_model_checkpoint"):
        checkpoint = chosen(own, checkpoints.drawing(await gateway.client.checkpoints()))
        await _load(gateway.client, checkpoint)
        own = own.model_copy(update={"sd_model_checkpoint": checkpoint.name})
    gateway.options.choose(caller, own)


@router.post("/unload-checkpoint")
async def unload(gateway: GatewayOf, caller: CallerOf) -> dict[str, str]:
    """Frees the memory of the caller's checkpoint once nobody draws with it; the next call loads it again."""
    checkpoint = chosen(gateway.options.of(caller), checkpoints.drawing(await gateway.client.checkpoints()))
    await gateway.client.unload_checkpoint(checkpoint.name)
    return {}


@router.post("/reload-checkpoint")
async def reload(gateway: GatewayOf, caller: CallerOf) -> dict[str, str]:
    """Loads the caller's checkpoint."""
    await _load(
        gateway.client, chosen(gateway.options.of(caller), checkpoints.drawing(await gateway.client.checkpoints()))
    )
    return {}


async def _load(client: AsyncClient, checkpoint: Checkpoint) -> None:
    if checkpoint.state != "loaded":
        await client.load_checkpoint(checkpoint.name)
