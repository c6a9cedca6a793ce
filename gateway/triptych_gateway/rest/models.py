"""Checkpoints and LoRAs: listed, added, switched, loaded, removed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from triptych.errors import NotFoundError, invalid
from triptych.sdk import Checkpoint
from triptych_gateway.caller import Caller, CallerOf
from triptych_gateway.described import Answer, Body
from triptych_gateway.gateway import Gateway, GatewayOf
from triptych_gateway.rest.documents import EXAMPLE_ID, Name, example
from triptych_gateway.rest.server import CheckpointAnswer, LoraAnswer

router = APIRouter(tags=["models"])

# Of uploads: what is registered as a checkpoint is.
_KINDS = ("checkpoint", "vae", "upscaler", "controlnet", "preprocessor", "ip_adapter")
# And what goes along with one, by its field.
_OTHERS = {"vae": ("vae", "checkpoint"), "image_encoder": ("image_encoder",)}


class CheckpointsAnswer(Answer):
    """All checkpoints."""

    checkpoints: list[CheckpointAnswer]
    """By name."""


class LorasAnswer(Answer):
    """All LoRAs."""

    loras: list[LoraAnswer]
    """By name."""


class SwitchBody(Body):
    """How a checkpoint is to be served; what is left out stays as it is."""

    engine: str | None = None
    """`onnxruntime`, `torch` or `tensorrt`, or one for each stage, `unet=torch`; empty: the server's choice."""
    prediction_type: str | None = None
    """`epsilon` or `v_prediction`, whatever the checkpoint says; empty: as it says."""
    variant: str | None = None
    """diffusers' own, `fp16` say; empty: the weights without one, or else those that there are."""
    vae: str | None = None
    """Another VAE, `upload:ID`, or a path where paths are allowed; empty: its own."""
    image_encoder: str | None = None
    """Of an IP-Adapter, likewise; empty: that which lies beside it."""


class CheckpointBody(SwitchBody):
    """A checkpoint, a VAE alone, an upscaler, a ControlNet, a preprocessor's network or an IP-Adapter, under a name."""

    name: str
    """1 to 64 letters, digits, `.`, `_` or `-`."""
    upload: str | None = None
    """The id of a complete upload."""
    path: str | None = None
    """In the place of an upload, where the operator allows it: a file or folder of the server's machine."""
    load: bool = False
    """Loads it at once."""


class LoraBody(Body):
    """A LoRA, to be kept under a name."""

    name: str
    """1 to 128 letters, digits, spaces, `.`, `_`, `-`, `(` or `)`."""
    upload: str
    """The id of a complete upload."""
    replace: bool = False
    """The name may be another file's, which stays as `name@digest`."""


@router.get("/checkpoints", response_model=CheckpointsAnswer)
async def checkpoints(gateway: GatewayOf) -> Any:
    """Those that the server knows, loaded or not; VAEs alone, upscalers, ControlNets and the like are among them."""
    return {"checkpoints": await gateway.client.checkpoints()}


@router.post(
    "/checkpoints", status_code=201, response_model=CheckpointAnswer,
    openapi_extra=example({"name": "mine", "upload": EXAMPLE_ID, "load": True}),
)  # fmt: skip
async def register(body: CheckpointBody, gateway: GatewayOf, caller: CallerOf) -> Any:
    """Has the server check a model and take it under a name."""
    if (body.upload is None) == (body.path is None):
        raise invalid("upload", "give either this or path")
    if body.path is not None:
        path = _allowed(gateway, "path", body.path)
    else:
        path = str(await gateway.models.place(caller, body.upload or "", *_KINDS))
    registered = await _registered(gateway, caller, body.name, path, body, load=body.load)
    if body.upload is not None:
        await gateway.uploads.remove(caller, body.upload)
    return registered


@router.patch(
    "/checkpoints/{name}", response_model=CheckpointAnswer, openapi_extra=example({"engine": "unet=onnxruntime"})
)
async def switch(name: Name, body: SwitchBody, gateway: GatewayOf, caller: CallerOf) -> Any:
    """Serves it with other engines, say; meanwhile it goes on serving as it did."""
    known = await _known(gateway, name)
    switched = await _registered(gateway, caller, name, known.path, body)
    await _forget(gateway, known.vae, known.image_encoder)
    return switched


@router.post("/checkpoints/{name}/load", response_model=CheckpointAnswer)
async def load(name: Name, gateway: GatewayOf) -> Any:
    """Loads it in every stage; answers once it can serve."""
    return await gateway.client.load_checkpoint(name)


@router.post("/checkpoints/{name}/unload", response_model=CheckpointAnswer)
async def unload(name: Name, gateway: GatewayOf) -> Any:
    """Frees its memory in every stage, once running requests have ended; the next request loads it again."""
    return await gateway.client.unload_checkpoint(name)


@router.delete("/checkpoints/{name}", status_code=204, response_class=Response)
async def unregister(name: Name, gateway: GatewayOf) -> None:
    """Has the server unload and forget it; its file goes where it came by an upload."""
    known = await _known(gateway, name)
    await gateway.client.unregister_checkpoint(name)
    await _forget(gateway, known.path, known.vae, known.image_encoder)


@router.get("/loras", response_model=LorasAnswer)
async def loras(gateway: GatewayOf) -> Any:
    """Those that the server keeps."""
    return {"loras": await gateway.client.loras()}


@router.post(
    "/loras", status_code=201, response_model=LoraAnswer,
    openapi_extra=example({"name": "ink", "upload": EXAMPLE_ID}),
)  # fmt: skip
async def add(body: LoraBody, gateway: GatewayOf, caller: CallerOf) -> Any:
    """Has the server check a LoRA and keep it under a name."""
    path = await gateway.uploads.path(caller, body.upload, "lora")
    added = await gateway.client.add_lora(body.name, path, replace=body.replace)
    await gateway.uploads.remove(caller, body.upload)
    return added


@router.delete("/loras/{name}", status_code=204, response_class=Response)
async def remove(name: Name, gateway: GatewayOf) -> None:
    """Has the server forget it; requests that use it go on."""
    await gateway.client.remove_lora(name)


async def _known(gateway: Gateway, name: str) -> Checkpoint:
    for each in await gateway.client.checkpoints():
        if each.name == name:
            return each
    raise NotFoundError(f"there is no checkpoint {name!r}")


async def _registered(
    gateway: Gateway, caller: Caller, name: str, path: str, body: SwitchBody, *, load: bool = False
) -> Checkpoint:
    """Has the server take it so; where it does not, the files that came by uploads go."""
    others: dict[str, str | None] = {}
    try:
        for field in _OTHERS:
            others[field] = await _other(gateway, caller, field, getattr(body, field))
        return await gateway.client.register_checkpoint(
            name, path, body.engine, load, prediction_type=body.prediction_type, variant=body.variant,
            vae=others["vae"], image_encoder=others["image_encoder"],
        )  # fmt: skip
    except Exception:  # of a caller who left the server may be about to take it
        await _forget(gateway, path, *others.values())
        raise


async def _forget(gateway: Gateway, *paths: str | None) -> None:
    """Deletes those that came by uploads and that no checkpoint is read from."""
    left = await gateway.client.checkpoints()
    for path in filter(None, paths):
        await gateway.models.forget(path, left)


async def _other(gateway: Gateway, caller: Caller, field: str, given: str | None) -> str | None:
    if not given:
        return given
    if given.startswith("upload:"):
        return str(await gateway.models.place(caller, given.removeprefix("upload:"), *_OTHERS[field]))
    return _allowed(gateway, field, given)


def _allowed(gateway: Gateway, field: str, path: str) -> str:
    if not gateway.settings.kept.allow_paths:
        raise invalid(field, "paths of the server's machine are switched off here; upload the file")
    return path
