"""Options and checkpoints: what a caller chooses, and what is loaded for it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from triptych import AsyncClient
from triptych.sdk.catalog import Checkpoint
from triptych_gateway.a1111 import checkpoints
from triptych_gateway.a1111.drawing.parameters import chosen, vae_of
from triptych_gateway.a1111.options import Options
from triptych_gateway.caller import Caller, CallerOf
from triptych_gateway.gateway import Gateway, GatewayOf

router = APIRouter()


@router.get("/options", response_model=Options)
async def options(gateway: GatewayOf, caller: CallerOf) -> Options:
    """The caller's."""
    own = await gateway.options.of(caller)
    drawing = checkpoints.drawing(await gateway.client.checkpoints())
    if not drawing:
        return own
    checkpoint = chosen(own, drawing)
    told = {"sd_model_checkpoint": checkpoints.title(checkpoint), "sd_checkpoint_hash": checkpoint.sha256}
    return own.model_copy(update=told)


@router.post("/options")
async def set_options(given: Annotated[dict[str, Any], Body()], gateway: GatewayOf, caller: CallerOf) -> None:
    """Changes some of the caller's; a checkpoint is loaded, and what it needs built, before the answer comes."""
    own = (await gateway.options.of(caller)).changed({**given, "sd_checkpoint_hash": None})
    known = await gateway.client.checkpoints()
    vae_of(own, known)  # tells of one that is not here
    if given.get("sd_model_checkpoint"):
        checkpoint = chosen(own, checkpoints.drawing(known))
        await _load(gateway.client, checkpoint)
        own = own.model_copy(update={"sd_model_checkpoint": checkpoint.name})
    await gateway.options.choose(caller, own)


@router.post("/unload-checkpoint")
async def unload(gateway: GatewayOf, caller: CallerOf) -> dict[str, str]:
    """Frees the memory of the caller's checkpoint once nobody draws with it; the next call loads it again."""
    await gateway.client.unload_checkpoint((await _own(gateway, caller)).name)
    return {}


@router.post("/reload-checkpoint")
async def reload(gateway: GatewayOf, caller: CallerOf) -> dict[str, str]:
    """Loads the caller's checkpoint."""
    await _load(gateway.client, await _own(gateway, caller))
    return {}


async def _own(gateway: Gateway, caller: Caller) -> Checkpoint:
    return chosen(await gateway.options.of(caller), checkpoints.drawing(await gateway.client.checkpoints()))


async def _load(client: AsyncClient, checkpoint: Checkpoint) -> None:
    if checkpoint.state != "loaded":
        await client.load_checkpoint(checkpoint.name)
