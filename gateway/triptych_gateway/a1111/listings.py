"""What there is: models, samplers, upscalers, and the empty lists of what there is not."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from triptych.sdk.catalog import Checkpoint
from triptych_gateway.a1111 import checkpoints, samplers
from triptych_gateway.gateway import GatewayOf

router = APIRouter()

_LATENT = {
    "latent": "Latent",
    "latent_antialiased": "Latent (antialiased)",
    "latent_bicubic": "Latent (bicubic)",
    "latent_bicubic_antialiased": "Latent (bicubic antialiased)",
    "latent_nearest": "Latent (nearest)",
    "latent_nearest_exact": "Latent (nearest-exact)",
}
_FILTERS = {"lanczos": "Lanczos", "nearest": "Nearest", "bicubic": "Bicubic", "bilinear": "Bilinear"}
# Before whatever networks there are.
_FIRST_UPSCALERS = ("None", "Lanczos", "Nearest")


@router.get("/sd-models")
async def sd_models(gateway: GatewayOf) -> list[dict[str, Any]]:
    """Checkpoints that draw; hashes once they are known."""
    drawing = checkpoints.drawing(await gateway.client.checkpoints())
    return [_model(each) for each in drawing]


def _model(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "title": checkpoints.title(checkpoint),
        "model_name": checkpoint.name,
        "hash": checkpoint.short_hash or None,
        "sha256": checkpoint.sha256 or None,
        "filename": checkpoint.path,
        "config": None,
    }


@router.get("/sd-vae")
@router.get("/sd-modules", include_in_schema=False)
async def sd_vae(gateway: GatewayOf) -> list[dict[str, str]]:
    """VAEs that are registered alone."""
    known = await gateway.client.checkpoints()
    return [{"model_name": each.name, "filename": each.path} for each in known if each.purpose == "vae"]


@router.get("/loras")
async def loras(gateway: GatewayOf) -> list[dict[str, Any]]:
    """LoRAs that can be used; a prompt names one as <lora:name:weight>."""
    kept = [each for each in await gateway.client.loras() if not each.error]
    return [
        {"name": each.name, "alias": each.name, "path": f"{each.digest}.safetensors", "metadata": {}} for each in kept
    ]


@router.get("/samplers")
async def list_samplers(gateway: GatewayOf) -> list[dict[str, Any]]:
    """By the web UI's labels."""
    return samplers.samplers((await gateway.client.server_info()).schedulers)


@router.get("/schedulers")
async def list_schedulers(gateway: GatewayOf) -> list[dict[str, Any]]:
    """Types of schedule that go with some sampler."""
    return samplers.schedules((await gateway.client.server_info()).schedulers)


@router.get("/upscalers")
async def upscalers(gateway: GatewayOf) -> list[dict[str, Any]]:
    """Of pictures."""
    server = await gateway.client.server_info()
    paths = {each.name: each.path for each in server.checkpoints if each.purpose == "upscaling"}
    labels = {_FILTERS.get(name, name): paths.get(name) for name in server.upscalers}
    ordered = [*_FIRST_UPSCALERS, *(label for label in labels if label not in _FIRST_UPSCALERS)]
    return [_upscaler(label, labels.get(label)) for label in ordered]


def _upscaler(label: str, path: str | None) -> dict[str, Any]:
    return {"name": label, "model_name": label if path else None, "model_path": path, "model_url": None, "scale": 4}


@router.get("/latent-upscale-modes")
async def latent_upscale_modes(gateway: GatewayOf) -> list[dict[str, str]]:
    """Of latents, between the passes of hires fix."""
    server = await gateway.client.server_info()
    return [{"name": _LATENT.get(name, name)} for name in server.latent_upscalers]


@router.get("/hypernetworks")
@router.get("/face-restorers")
@router.get("/realesrgan-models")
@router.get("/prompt-styles")
@router.get("/script-info")
@router.get("/extensions")
async def nothing() -> list[dict[str, Any]]:
    """There are none."""
    return []


@router.get("/embeddings")
async def embeddings() -> dict[str, dict[str, Any]]:
    """There are none."""
    return {"loaded": {}, "skipped": {}}


@router.get("/scripts")
async def scripts() -> dict[str, list[str]]:
    """ControlNet is one that is always on; by "controlnet m2m", its films, clients know that it is there."""
    return {"txt2img": ["controlnet", "controlnet m2m"], "img2img": ["controlnet", "controlnet m2m"]}


@router.post("/refresh-checkpoints")
@router.post("/refresh-vae")
@router.post("/refresh-loras")
async def refresh() -> None:
    """Nothing to do: lists are always what the server has."""
