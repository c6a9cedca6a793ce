"""What made a picture, in A1111's text form."""

from __future__ import annotations

import json

from triptych._version import __version__
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.sampling.guidance import is_guided


def describe(job: Job, seed: int, index: int, model_hash: str = "") -> str:
    """Prompt, negative prompt, then `Name: value` pairs; values with a comma, colon or newline are JSON strings."""
    values: dict[str, object] = {
        "Steps": job.num_inference_steps,
        "Sampler": job.scheduler,
        "CFG scale": f"{job.guidance_scale:g}",
        **_given(job),
        "Seed": seed,
        "Size": f"{job.width}x{job.height}",
        **({"Model hash": model_hash} if model_hash else {}),
        "Model": job.checkpoint,
        "Version": f"Triptych {__version__}",
    }
    if job.images:
        values["Denoising strength"] = f"{job.strength:g}"
    if job.variation:
        values |= job.variation.infotext(index)
    if job.hires:
        own = "Hires denoising strength" if job.images else "Denoising strength"
        values |= job.hires.infotext | {own: f"{job.hires.strength:g}"}
    if job.refiner:
        values["Refiner"], values["Refiner switch at"] = job.refiner, f"{job.refiner_start:g}"
    if job.vae:
        values["VAE"] = job.vae
    if job.eta:
        values["Eta DDIM"] = f"{job.eta:g}"
    if len(job.seeds) < job.num_images_per_prompt:
        values["Batch size"], values["Batch position"] = job.num_images_per_prompt, index
    pairs = ", ".join(f"{name}: {_quoted(str(value))}" for name, value in values.items())
    negative = [f"Negative prompt: {job.negative_prompt}"] if job.negative_prompt else []
    return "\n".join([_tagged_prompt(job), *negative, pairs])


def _given(job: Job) -> dict[str, object]:
    """What only some families know, by diffusers' names, as far as it was given."""
    rescaled = {"guidance_rescale": f"{job.guidance_rescale:g}"} if job.guidance_rescale else {}
    skipped = {"clip_skip": job.clip_skip} if job.clip_skip else {}
    texts = {name: text for name in ("prompt_2", "negative_prompt_2") if (text := getattr(job, name))}
    told = {name: "x".join(f"{each:g}" for each in numbers) for name, numbers in job.micro_conditions.items()}
    # Of diffusers' pipeline: a negative prompt that is empty would give another picture.
    zeroed = {"force_zeros_for_empty_prompt": True} if job.zeroes_negative and is_guided(job.guidance_scale) else {}
    return {**rescaled, **skipped, **texts, **zeroed, **told}


def _tagged_prompt(job: Job) -> str:
    """The prompt that asks for the same LoRAs, wherever they were named."""
    tags = " ".join(lora.tag for lora in job.loras.names)
    return f"{job.prompt.rstrip(' ')} {tags}".lstrip(" ") if tags else job.prompt


def _quoted(value: str) -> str:
    return json.dumps(value) if any(sign in value for sign in ",:\n") else value
