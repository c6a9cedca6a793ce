"""A call's fields as the parameters of `Generate`, as far as txt2img and img2img have the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from secrets import randbelow
from typing import Any, cast

from triptych.errors import invalid
from triptych.sdk.catalog import Checkpoint, ServerInfo
from triptych.sdk.parameters import GenerateParameters
from triptych_gateway.a1111 import checkpoints
from triptych_gateway.a1111.drawing.requests import Common
from triptych_gateway.a1111.options import Options
from triptych_gateway.a1111.samplers import label_of, scheduler_of
from triptych_gateway.errors import HttpError

_TAG = re.compile(r"<(?:lora|lyco):[^<>]*>")
_NO_VAE = ("automatic", "none", "")
# What is not here, and the values with which it does nothing.
_IDLE: Mapping[str, tuple[object, ...]] = {
    "restore_faces": (None, False),
    "styles": ([],),
    "s_min_uncond": (None, 0.0),
    "s_churn": (None, 0.0),
}
# Of the noise that ancestral samplers add, which here is always all.
_ANCESTRAL: Mapping[str, tuple[object, ...]] = {"eta": (None, 1.0), "s_noise": (None, 1.0)}
_SEEDS = 1 << 32


@dataclass(frozen=True)
class Asked:
    """What a call asks for, in the server's terms: `n_iter` jobs that differ in their seeds alone."""

    prompt: str
    parameters: GenerateParameters
    checkpoint: Checkpoint
    sampler: str
    seeds: list[int]
    subseeds: list[int]
    subseed_strength: float
    batch_size: int
    words: Mapping[str, str] = field(default_factory=dict)  # what errors call fields, where only this call knows

    def job(self, iteration: int) -> GenerateParameters:
        """The parameters of one."""
        own = slice(iteration * self.batch_size, (iteration + 1) * self.batch_size)
        seeds: dict[str, Any] = {"seed": self.seeds[own]}
        if self.subseed_strength:
            seeds |= {"subseed": self.subseeds[own], "subseed_strength": self.subseed_strength}
        return cast(GenerateParameters, {**self.parameters, "num_images_per_prompt": self.batch_size, **seeds})

    def beside(self, own: Mapping[str, Any], words: Mapping[str, str] | None = None) -> Asked:
        """With what only this kind of call asks for."""
        parameters = cast(GenerateParameters, {**self.parameters, **own})
        return replace(self, parameters=parameters, words={**self.words, **(words or {})})

    @property
    def jobs(self) -> int:
        """How many."""
        return len(self.seeds) // self.batch_size


def asked_of(request: Common, options: Options, server: ServerInfo) -> Asked:
    """What all kinds of call have."""
    check_idle(request, _IDLE)
    _check_script(request)
    if request.batch_size > (most := server.limits.max_num_images_per_prompt):
        raise invalid("batch_size", f"must be from 1 to {most}, not {request.batch_size}")
    checkpoint = chosen(options, checkpoints.drawing(server.checkpoints))
    scheduler = scheduler_of(request.sampler_name or request.sampler_index, request.scheduler or "", server.schedulers)
    if scheduler.endswith("_ancestral"):
        check_idle(request, _ANCESTRAL)
    first, other = (randbelow(_SEEDS) if seed < 0 else seed for seed in (request.seed, request.subseed))
    count = request.batch_size * request.n_iter
    return Asked(
        prompt=_TAG.sub("", request.prompt).strip() if request.disable_extra_networks else request.prompt,
        parameters=_parameters(request, options, server, checkpoint, scheduler),
        checkpoint=checkpoint,
        sampler=label_of(scheduler),
        seeds=[first + (0 if request.subseed_strength else index) for index in range(count)],
        subseeds=[other + index for index in range(count)],
        subseed_strength=request.subseed_strength,
        batch_size=request.batch_size,
    )


def _parameters(
    request: Common, options: Options, server: ServerInfo, checkpoint: Checkpoint, scheduler: str
) -> GenerateParameters:
    width, height = size_of(request, checkpoint)
    parameters = {
        "checkpoint": checkpoint.name,
        # Empty, that API's Stable Diffusion XL sees zeros, which is what ours does where there is none.
        "negative_prompt": request.negative_prompt or None,
        "num_inference_steps": request.steps,
        "guidance_scale": request.cfg_scale,
        "width": width,
        "height": height,
        "scheduler": scheduler,
        "eta": request.eta if scheduler == "ddim" else None,
        "tiling": options.tiling if request.tiling is None else request.tiling,
        "clip_skip": options.CLIP_stop_at_last_layers - 1 or None,
        "vae": vae_of(options, server.checkpoints),
        "engine": None if options.acceleration else "torch",
        "preview_every_steps": options.preview_every_steps,
        "seed_resize_from": _seed_resize_from(request),
        **_refiner(request, checkpoints.drawing(server.checkpoints)),
        **file_of(options),
    }
    return cast(GenerateParameters, parameters)


def size_of(request: Common, checkpoint: Checkpoint) -> tuple[int, int]:
    """Width and height, cut to what the checkpoint can draw."""
    scale = max(1, checkpoint.vae_scale_factor)
    return request.width // scale * scale, request.height // scale * scale


def check_idle(request: Common, fields: Mapping[str, tuple[object, ...]]) -> None:
    """InvalidArgumentError about the first of these that asks for something that is not here."""
    for name, idle in fields.items():
        if getattr(request, name) not in idle:
            raise invalid(name, f"is not supported here; leave it out, or send {idle[-1]!r}")


def chosen(options: Options, drawing: list[Checkpoint]) -> Checkpoint:
    """The checkpoint that a caller's options name."""
    if not options.sd_model_checkpoint:
        return checkpoints.default(drawing)
    return checkpoints.find(drawing, options.sd_model_checkpoint, "sd_model_checkpoint")


def _check_script(request: Common) -> None:
    if request.script_name:
        raise HttpError(422, f"script_name: Script {request.script_name!r} not found; none is here")


def vae_of(options: Options, known: Sequence[Checkpoint]) -> str | None:
    """The VAE that a caller's options name; None for the checkpoint's own."""
    if options.sd_vae.lower() in _NO_VAE:
        return None
    return checkpoints.find([each for each in known if each.purpose == "vae"], options.sd_vae, "sd_vae").name


def _seed_resize_from(request: Common) -> tuple[int, int] | None:
    height, width = request.seed_resize_from_h, request.seed_resize_from_w
    return (height, width) if height > 0 and width > 0 else None


def _refiner(request: Common, drawing: list[Checkpoint]) -> dict[str, Any]:
    name = request.refiner_checkpoint or ""
    if name.lower() in ("", "none"):
        return {}
    refiner = checkpoints.find(drawing, name, "refiner_checkpoint")
    return {"refiner": refiner.name, "refiner_start": request.refiner_switch_at}


def file_of(options: Options) -> dict[str, Any]:
    """What files are to be."""
    if options.samples_format == "png":
        return {}
    kind = "webp" if options.samples_format == "webp" else "jpeg"
    is_lossless = kind == "webp" and options.webp_lossless
    return {"image_format": kind, "quality": None if is_lossless else options.jpeg_quality}
