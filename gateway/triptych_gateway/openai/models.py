"""What `model` may name: a checkpoint, a LoRA on its default checkpoint, or a preset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import APIRouter

from triptych.errors import FailedPreconditionError, NotFoundError
from triptych.sdk import Checkpoint
from triptych_gateway.described import Answer
from triptych_gateway.gateway import Gateway, GatewayOf
from triptych_gateway.rest.documents import Name

router = APIRouter(tags=["openai"])

_DRAWING = ("drawing", "instructed", "inpainting")


@dataclass(frozen=True)
class Model:
    """A name and what it stands for."""

    name: str
    kind: str  # "checkpoint", "lora" or "preset"
    checkpoint: str
    loras: list[Any] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)  # by the SDK's names


class ModelAnswer(Answer):
    """A name that a request's `model` may be."""

    id: str
    """The name."""
    object: Literal["model"] = "model"
    """That API's word for it."""
    created: int = 0
    """Not known."""
    owned_by: str
    """`checkpoint`, `lora` or `preset`: what it is."""


class ModelsAnswer(Answer):
    """All of them."""

    object: Literal["list"] = "list"
    """That API's word for it."""
    data: list[ModelAnswer]
    """Presets first, then checkpoints, then LoRAs; what is earlier is meant where two have one name."""


@router.get("/models")
async def models(gateway: GatewayOf) -> ModelsAnswer:
    """Whatever a request's `model` may name."""
    return ModelsAnswer(data=[ModelAnswer(id=each.name, owned_by=each.kind) for each in await _models(gateway)])


@router.get("/models/{model:path}")
async def model(model: Name, gateway: GatewayOf) -> ModelAnswer:
    """One of them."""
    found = await model_of(gateway, model)
    return ModelAnswer(id=found.name, owned_by=found.kind)


async def model_of(gateway: Gateway, name: str | None) -> Model:
    """What a name stands for; without one, the default checkpoint."""
    known = await _models(gateway)
    if not name:
        checkpoint = _default(gateway, await _drawing(gateway))
        return Model(checkpoint, "checkpoint", checkpoint)
    for each in known:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in known)
    raise NotFoundError(f"model: there is no {name!r}; there are {names}", field="model")


async def _models(gateway: Gateway) -> list[Model]:
    checkpoints = await _drawing(gateway)
    presets = gateway.presets
    default = _default(gateway, checkpoints)
    found = [
        Model(name, "preset", preset.checkpoint or default, [*preset.loras], preset.parameters)
        for name, preset in presets.presets.items()
    ]
    found += [Model(each.name, "checkpoint", each.name) for each in checkpoints]
    found += [
        Model(each.name, "lora", presets.lora_checkpoints.get(each.name, default), [each.name])
        for each in await gateway.client.loras()
    ]
    return found


async def _drawing(gateway: Gateway) -> list[Checkpoint]:
    return [each for each in await gateway.client.checkpoints() if each.purpose in _DRAWING]


def _default(gateway: Gateway, checkpoints: Sequence[Checkpoint]) -> str:
    """The operator's; else the first that draws from a prompt alone, has not failed, and is loaded, if there is one."""
    if gateway.presets.default_checkpoint:
        return gateway.presets.default_checkpoint
    ranked = sorted(checkpoints, key=_rank)
    if not ranked:
        raise FailedPreconditionError("model: the server has no checkpoint that draws; register one", field="model")
    return ranked[0].name


def _rank(checkpoint: Checkpoint) -> tuple[bool, bool, bool]:
    wants_image = checkpoint.purpose != "drawing" or checkpoint.family == "stable-diffusion-xl-refiner"
    return wants_image, checkpoint.state == "failed", checkpoint.state != "loaded"
