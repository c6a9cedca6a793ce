"""Checks a GenerateRequest whole, before anything is done for it, and fills in what it left open."""

from __future__ import annotations

import math
import re
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from triptych.checkpoint import Checkpoint
from triptych.errors import invalid
from triptych.v1 import generation_pb2 as pb
from triptych_orchestrator.library.loras.choice import LoraChoice, asked_loras
from triptych_orchestrator.sampling.schedulers import make_solver, resolved_name, stable_diffusion_config
from triptych_orchestrator.settings import Limits

# diffusers' StableDiffusionPipeline.__call__ has these defaults.
_DEFAULT_STEPS = 50
_DEFAULT_GUIDANCE_SCALE = 7.5
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MAX_GUIDANCE_SCALE = 1000.0
_HIGHEST_PRIORITY = 100


@dataclass(frozen=True)
class Job:
    """A request with nothing open; sizes in pixels. One seed draws for the whole batch, several draw one image each.

    `prompt` is without its LoRA tags; what they ask for is in `loras`.
    """

    request_id: str
    prompt: str
    negative_prompt: str
    num_inference_steps: int
    guidance_scale: float
    width: int
    height: int
    num_images_per_prompt: int
    seeds: tuple[int, ...]
    scheduler: str
    eta: float
    preview_every_steps: int
    priority: int
    loras: LoraChoice


def request_id_of(request: pb.GenerateRequest) -> str:
    """The caller's id, checked, or a new one."""
    if request.request_id and not _REQUEST_ID.fullmatch(request.request_id):
        raise invalid("request_id", "must be at most 128 letters, digits, '.', '_', ':' or '-'")
    return request.request_id or uuid.uuid4().hex


def check(request: pb.GenerateRequest, request_id: str, checkpoint: Checkpoint, limits: Limits) -> Job:
    """The job, its LoRAs not looked up yet, or an InvalidArgumentError that names the field and what it may be."""
    for field in ("prompt", "negative_prompt"):
        if len(getattr(request, field)) > limits.max_prompt_characters:
            raise invalid(field, f"is longer than {limits.max_prompt_characters} characters")
    prompt, loras = asked_loras(request, limits)
    images = _given(request, "num_images_per_prompt", 1)
    steps = _given(request, "num_inference_steps", _DEFAULT_STEPS)
    guidance_scale = _given(request, "guidance_scale", _DEFAULT_GUIDANCE_SCALE)
    width, height = _size(request, checkpoint, limits)
    steps = _within("num_inference_steps", steps, limits.max_num_inference_steps)
    eta = _real("eta", _given(request, "eta", 0.0), 1.0)
    scheduler = resolved_name(request.scheduler, checkpoint.scheduler_config)
    # Says what this scheduler, with this checkpoint's configuration, makes of that many steps.
    make_solver(scheduler, stable_diffusion_config(scheduler, checkpoint.scheduler_config), steps, eta=eta)
    return Job(
        request_id=request_id,
        prompt=prompt,
        negative_prompt=request.negative_prompt,
        num_inference_steps=steps,
        guidance_scale=_real("guidance_scale", guidance_scale, _MAX_GUIDANCE_SCALE),
        width=width,
        height=height,
        num_images_per_prompt=_within("num_images_per_prompt", images, limits.max_num_images_per_prompt),
        seeds=_seeds(list(request.seeds), images),
        scheduler=scheduler,
        eta=eta,
        preview_every_steps=request.preview_every_steps,
        priority=_priority(request.priority),
        loras=loras,
    )


def deadline_of(request: pb.GenerateRequest, remaining_s: float | None) -> float:
    """Seconds until the request is to be given up, by its own field or what remains of the call's gRPC deadline."""
    own_s = _given(request, "deadline_seconds", math.inf)
    if not own_s > 0:
        raise invalid("deadline_seconds", f"must be a number above 0, not {own_s}")
    return min(float(own_s), math.inf if remaining_s is None else remaining_s)


def _priority(priority: int) -> int:
    if abs(priority) > _HIGHEST_PRIORITY:
        raise invalid("priority", f"must be from {-_HIGHEST_PRIORITY} to {_HIGHEST_PRIORITY}, not {priority}")
    return priority


def _given(request: pb.GenerateRequest, field: str, default: Any) -> Any:
    return getattr(request, field) if request.HasField(field) else default


def _within(field: str, value: int, high: int) -> int:
    if not 1 <= value <= high:
        raise invalid(field, f"must be from 1 to {high}, not {value}")
    return value


def _real(field: str, value: float, high: float) -> float:
    if not math.isfinite(value) or not 0 <= value <= high:
        raise invalid(field, f"must be a number from 0 to {high:g}, not {value}")
    return value


def _size(request: pb.GenerateRequest, checkpoint: Checkpoint, limits: Limits) -> tuple[int, int]:
    scale = checkpoint.vae_scale_factor
    width = _extent(request, "width", checkpoint.default_width)
    height = _extent(request, "height", checkpoint.default_height)
    for field, value, high in (("width", width, limits.max_width), ("height", height, limits.max_height)):
        if not 2 * scale <= value <= high or value % scale:
            raise invalid(field, f"must be a multiple of {scale} from {2 * scale} to {high}, not {value}")
    if width * height > limits.max_pixels:
        raise invalid(
            "width", f"{width} x {height} is more than the {limits.max_pixels} pixels that this server allows"
        )
    return width, height


def _extent(request: pb.GenerateRequest, field: str, default: int) -> int:
    if not default and not request.HasField(field):
        raise invalid(field, "must be given: the checkpoint names no size (sample_size in unet/config.json)")
    return int(_given(request, field, default))


def _seeds(seeds: list[int], images: int) -> tuple[int, ...]:
    if not seeds:
        first = secrets.randbits(32)
        return tuple((first + index) % 2**32 for index in range(images))
    if len(seeds) not in (1, images):
        raise invalid("seeds", f"must be none, one, or one for each of the {images} images, not {len(seeds)}")
    return tuple(seeds)
