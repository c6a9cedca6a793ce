"""Checks a request whole, before anything is done for it, and fills in what it left open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from triptych.checkpoint import INPAINTING, Checkpoint, MicroConditions, check_fields
from triptych.errors import invalid
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.extents import Size
from triptych_orchestrator.jobs.fields.drawing import (
    clip_skip_of,
    image_count_of,
    priority_of,
    seeds_of,
    strength_of,
    told_of,
)
from triptych_orchestrator.jobs.fields.numbers import given, real, within
from triptych_orchestrator.jobs.fields.refining import check_drawing, check_refiner, check_vae, start_of
from triptych_orchestrator.jobs.fields.sizes import size_of
from triptych_orchestrator.jobs.hints.hiding import Canvas
from triptych_orchestrator.jobs.hints.preprocessors import Preprocessors
from triptych_orchestrator.jobs.hints.reading import HintReader
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.pictures import PictureReader, check_bytes, field_of
from triptych_orchestrator.jobs.tasks.canvases import read_canvases
from triptych_orchestrator.jobs.tasks.controls import check_sizes, controls_of, part_of, read_controls
from triptych_orchestrator.jobs.tasks.editing import check_needs, default_steps, edit_of
from triptych_orchestrator.jobs.tasks.formats import format_of
from triptych_orchestrator.jobs.tasks.hires import hires_of, of_hires
from triptych_orchestrator.jobs.tasks.inpainting import inpaint_of, result_size
from triptych_orchestrator.jobs.tasks.ip_adapters import ip_adapters_of, read_ip_adapters
from triptych_orchestrator.jobs.tasks.tiling import tiling_of
from triptych_orchestrator.jobs.tasks.upscaling import upscale_of
from triptych_orchestrator.jobs.tasks.variations import variation_of
from triptych_orchestrator.jobs.told import filled
from triptych_orchestrator.library.loras.choice import asked_loras
from triptych_orchestrator.sampling.schedulers import Solver, corrected_config, make_solver, resolved_name
from triptych_orchestrator.settings import Limits

_OTHER_PROMPTS = ("prompt_2", "negative_prompt", "negative_prompt_2")
_MAX_GUIDANCE_SCALE = 1000.0


async def resolve(
    asked: Asked,
    checkpoint: Checkpoint,
    limits: Limits,
    pictures: PictureReader,
    refiner: Checkpoint | None = None,
    vae: Checkpoint | None = None,
    nets: Sequence[Checkpoint] = (),
    adapters: Sequence[Checkpoint] = (),
    preprocessors: Preprocessors | None = None,
) -> Job:
    """The job with its pictures decoded, once all else is known to be right; its LoRAs are not looked up yet.

    `preprocessors` None: those that need no weights.
    """
    check_bytes(asked.files, limits)
    size = await pictures.size(field_of(0), asked.images[0]) if asked.images else None
    job = check(asked, checkpoint, limits, size, refiner, vae, nets, adapters)
    if job.inpaint and size:
        job = await read_canvases(asked, job, job.inpaint, pictures, size, checkpoint.vae_scale_factor)
    else:
        images, warnings = await pictures.read(asked.images, job.width, job.height)
        job = replace(job, images=images, warnings=(*job.warnings, *warnings))
    sizes = [(each.width, each.height) for each in (job, job.hires) if each]
    hints = HintReader(pictures, preprocessors or Preprocessors(), limits.max_upscaled_pixels)
    canvas = Canvas(sizes[0], job.images, job.inpaint.masks) if job.inpaint else None
    controls, warnings = await read_controls(job.controls, asked.controls, hints, sizes, part_of(job.inpaint), canvas)
    prompts, more = await read_ip_adapters(job.ip_adapters, asked.ip_adapters, adapters, pictures)
    return replace(job, controls=controls, ip_adapters=prompts, warnings=(*job.warnings, *warnings, *more))


def check(
    asked: Asked,
    checkpoint: Checkpoint,
    limits: Limits,
    image_size: Size | None = None,
    refiner: Checkpoint | None = None,
    vae: Checkpoint | None = None,
    nets: Sequence[Checkpoint] = (),
    adapters: Sequence[Checkpoint] = (),
) -> Job:
    """The job, LoRAs and pictures left out, or an InvalidArgumentError that names the field and what it may be.

    `request_id` and the checkpoints' names are said in what is asked; `image_size` is the first picture's own, and
    `nets` are what the controls name, and `adapters` what the ip_adapters do.
    """
    check_drawing(asked.checkpoint, checkpoint)
    experts = [checkpoint, *([refiner] if refiner else [])]
    check_fields(_given_fields(asked), *(each.family for each in experts))
    check_refiner(asked, checkpoint, refiner)
    check_vae(asked, checkpoint, vae)
    check_needs(asked, checkpoint)
    for field in ("prompt", *_OTHER_PROMPTS):
        if len(getattr(asked, field) or "") > limits.max_prompt_characters:
            raise invalid(field, f"is longer than {limits.max_prompt_characters} characters")
    others = {field: getattr(asked, field) or "" for field in _OTHER_PROMPTS}
    prompt, loras = asked_loras(asked.prompt, others, asked.loras, limits)
    inpaint = inpaint_of(
        asked.inpaint,
        len(asked.images),
        with_hires=asked.hires is not None,
        with_upscale=asked.upscale is not None,
        is_seen=checkpoint.editing is INPAINTING,
    )
    images = given(asked.num_images_per_prompt, max(1, len(asked.images), len(asked.inpaint.mask_images)))
    steps = given(asked.num_inference_steps, default_steps(checkpoint))
    guidance_scale = given(asked.guidance_scale, checkpoint.family.default_guidance_scale)
    width, height = size_of(asked, checkpoint, limits, image_size)
    seeds = seeds_of(asked.seeds, images)
    steps = within("num_inference_steps", steps, limits.max_num_inference_steps)
    eta = real("eta", given(asked.eta, 0.0), 1.0)
    scheduler = resolved_name(asked.scheduler, checkpoint.scheduler_config)
    _solver(scheduler, checkpoint, steps, eta)
    edit = edit_of(asked, checkpoint)
    strength = 1.0 if edit else strength_of(asked, checkpoint, steps)
    hires = hires_of(asked.hires, (width, height), steps, checkpoint, limits) if asked.hires else None
    final = (hires.width, hires.height) if hires else result_size(asked.inpaint, (width, height), image_size)
    last_steps, last_strength = (hires.num_inference_steps, hires.strength) if hires else (steps, strength)
    with of_hires() if hires else nullcontext():
        solvers = [_solver(scheduler, each, last_steps, eta) for each in experts]
    told = {field: told_of(field, numbers) for field, numbers in asked.micro_conditions.items()}
    job = Job(
        request_id=asked.request_id,
        checkpoint=asked.checkpoint,
        prompt=prompt,
        prompt_2=asked.prompt_2,
        negative_prompt=asked.negative_prompt or "",
        negative_prompt_2=asked.negative_prompt_2,
        zeroes_negative=asked.negative_prompt is None and checkpoint.zeroes_negative,
        clip_skip=clip_skip_of(given(asked.clip_skip, 0), experts),
        num_inference_steps=steps,
        guidance_scale=real("guidance_scale", guidance_scale, _MAX_GUIDANCE_SCALE),
        guidance_rescale=real("guidance_rescale", given(asked.guidance_rescale, 0.0), 1.0),
        micro_conditions=told,
        width=width,
        height=height,
        num_images_per_prompt=image_count_of(asked, images, limits),
        seeds=seeds,
        scheduler=scheduler,
        eta=eta,
        preview_every_steps=asked.preview_every_steps,
        priority=priority_of(asked.priority),
        loras=loras,
        strength=strength,
        edit=edit,
        refiner=asked.refiner,
        refiner_start=start_of(asked, last_strength, *solvers) if refiner else 1.0,
        refiner_zeroes_negative=refiner is not None and asked.negative_prompt is None and refiner.zeroes_negative,
        vae=asked.vae,
        inpaint=inpaint,
        tiling=tiling_of(asked.tiling),
        format=format_of(asked.image_format, asked.quality),
        hires=hires,
        upscale=upscale_of(asked.upscale, final, limits) if asked.upscale else None,
        controls=controls_of(
            asked.controls,
            nets,
            checkpoint,
            guess_mode=asked.guess_mode,
            has_hires=hires is not None,
            inpaints=inpaint is not None,
        ),
        guess_mode=asked.guess_mode,
        ip_adapters=ip_adapters_of(asked.ip_adapters, adapters, checkpoint),
        variation=variation_of(asked.variation, seeds, images, checkpoint.vae_scale_factor, limits),
        warnings=_idle(
            told, height, width, bool(asked.images and not edit), [*experts, *([checkpoint] if hires else [])]
        ),
    )
    check_sizes(asked.controls, nets, [(each.width, each.height) for each in (job, hires) if each])
    return replace(job, told=filled(asked.told, job))


def _solver(scheduler: str, checkpoint: Checkpoint, steps: int, eta: float) -> Solver:
    """Raises what this scheduler, with this checkpoint's configuration, has against that many steps."""
    config = corrected_config(scheduler, checkpoint.scheduler_config, checkpoint.pipeline_scheduler_config)
    return make_solver(scheduler, config, steps, eta=eta)


def _idle(
    told: MicroConditions, height: int, width: int, has_image: bool, passes: Sequence[Checkpoint]
) -> tuple[str, ...]:
    """What to say of what is told without effect, in any pass; all but the first begin with latents."""
    idle = passes[0].family.time_ids(told, height, width, has_image).idle
    for other in passes[1:]:
        counting = other.family.fields - other.family.time_ids(told, height, width, True).idle.keys()
        idle = {field: why for field, why in idle.items() if field not in counting}
    return tuple(f"{field} has no effect {why}" for field, why in idle.items())


def deadline_of(asked: Asked, remaining_s: float | None) -> float:
    """Seconds until the request is to be given up, by its own field or what remains of the call's gRPC deadline."""
    own_s = given(asked.deadline_seconds, math.inf)
    if not own_s > 0:
        raise invalid("deadline_seconds", f"must be a number above 0, not {own_s}")
    return min(float(own_s), math.inf if remaining_s is None else remaining_s)


def _given_fields(asked: Asked) -> list[str]:
    """All that were given, of which the families tell whose they are."""
    return [field for field, value in {**vars(asked), **asked.micro_conditions}.items() if value not in (None, "")]
