"""What made a picture, in A1111's text form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from triptych._version import __version__
from triptych.checkpoint.identity.digests import SHORT_LETTERS
from triptych.contract.pictures.samplers import BY_SCHEDULER, Sampler
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.pipeline.writing.made_of import MadeOf
from triptych_orchestrator.sampling.guidance import is_guided

# Letters of the hash of a LoRA's tensors, as A1111 shows it.
_LORA_LETTERS = 12
# Of the hash of a ControlNet, as its extension does.
_CONTROLNET_LETTERS = 8
# What A1111 has a name or a place of its own for, and files, which a text cannot bring.
_PLACED = {
    "prompt", "negative_prompt", "loras", "num_inference_steps", "scheduler", "guidance_scale", "seeds", "width",
    "height", "checkpoint", "vae", "strength", "refiner", "refiner_start", "eta", "clip_skip", "num_images_per_prompt",
    "images", "mask_images", "image_format", "quality", "hires", "upscale", "subseeds", "subseed_strength",
    "seed_resize_from", "mask_blur", "masked_content", "invert_mask", "padding_mask_crop", "image_guidance_scale",
    "tiling", "controls", "ip_adapters",
}  # fmt: skip


def describe(job: Job, seed: int, index: int, made_of: MadeOf | None = None) -> str:
    """Prompt, negative prompt, then `Name: value` pairs; values with a comma, colon or newline are JSON strings."""
    values = dict(_values(job, seed, index, made_of or MadeOf()))
    if len(job.seeds) < job.num_images_per_prompt:
        values |= {"Batch size": job.num_images_per_prompt, "Batch position": index}
    if hashes := {name: content.tensors_digest[:_LORA_LETTERS] for name, content in job.loras.content.items()}:
        values["Lora hashes"] = ", ".join(f"{name}: {digest}" for name, digest in hashes.items())
    values["Version"] = f"Triptych {__version__}"
    pairs = ", ".join(f"{name}: {_quoted(str(value))}" for name, value in values.items())
    negative = [f"Negative prompt: {job.negative_prompt}"] if job.negative_prompt else []
    return "\n".join([_tagged_prompt(job), *negative, pairs])


def _values(job: Job, seed: int, index: int, made_of: MadeOf) -> Iterator[tuple[str, object]]:
    """In the web UI's order, as far as it has one."""
    yield "Steps", job.num_inference_steps
    sampler = BY_SCHEDULER.get(job.scheduler, Sampler(job.scheduler))
    yield "Sampler", sampler.name
    if sampler.schedule:
        yield "Schedule type", sampler.schedule
    yield "CFG scale", _number(job.guidance_scale)
    yield from _given(job).items()
    yield "Seed", seed
    yield "Size", f"{job.width}x{job.height}"
    if digest := made_of.model_digest(job):
        yield "Model hash", digest[:SHORT_LETTERS]
    yield "Model", job.checkpoint
    if digest := made_of.vae_digest(job):
        yield "VAE hash", digest[:SHORT_LETTERS]
    yield from _if_asked(job, index)
    for place, control in enumerate(job.controls):
        digest = made_of.digests[control.name].weights if control.name in made_of.digests else ""
        shown = f"{control.name} [{digest[:_CONTROLNET_LETTERS]}]" if digest else control.name
        yield f"ControlNet {place}", control.infotext(shown)


def _if_asked(job: Job, index: int) -> Iterator[tuple[str, object]]:
    """What A1111 has a name for."""
    if job.vae:
        yield "VAE", job.vae
    if job.edit:
        yield "Image CFG scale", _number(job.edit.image_guidance_scale)
    elif job.images:
        yield "Denoising strength", _number(job.strength)
    if job.inpaint:
        yield from job.inpaint.infotext.items()
    if job.variation:
        yield from job.variation.infotext(index).items()
    if job.hires:
        yield from job.hires.infotext.items()
        yield "Hires denoising strength" if job.images else "Denoising strength", _number(job.hires.strength)
    if job.upscale:
        yield from job.upscale.infotext.items()
    if job.clip_skip:  # A1111's 1 leaves out none
        yield "Clip skip", job.clip_skip + 1
    if job.refiner:
        yield "Refiner", job.refiner
        yield "Refiner switch at", _number(job.refiner_start)
    if job.tiling:
        yield "Tiling", True if job.tiling == "xy" else job.tiling
    if job.eta:
        yield "Eta DDIM", _number(job.eta)


def _given(job: Job) -> dict[str, object]:
    """Whatever else was asked for, by diffusers' names."""
    # Of diffusers' pipeline: a negative prompt that is empty would give another picture.
    zeroed = {"force_zeros_for_empty_prompt": True} if job.zeroes_negative and is_guided(job.guidance_scale) else {}
    return zeroed | {name: _text(value) for name, value in job.told.items() if name not in _PLACED}


def _text(value: Any) -> str:
    """A number, a text, a size as 300x200, or JSON."""
    if isinstance(value, Mapping) and all(isinstance(each, int) for each in value.values()):
        return "x".join(map(str, value.values()))
    if isinstance(value, Mapping | list):
        return json.dumps(value)
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


def _tagged_prompt(job: Job) -> str:
    """The prompt that asks for the same LoRAs, wherever they were named."""
    tags = " ".join(lora.tag for lora in job.loras.names)
    return f"{job.prompt.rstrip(' ')} {tags}".lstrip(" ") if tags else job.prompt


def _quoted(value: str) -> str:
    return json.dumps(value) if any(sign in value for sign in ",:\n") else value
