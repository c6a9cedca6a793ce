"""Which checkpoints a request may name: one that draws, a refiner that can finish what it began, a VAE that fits."""

from __future__ import annotations

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.controls import controls
from triptych.contract import IMAGE_ENCODER
from triptych.errors import InvalidArgumentError, invalid
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.sampling.schedulers import Solver

# Of diffusers' documentation and A1111's web UI.
_DEFAULT_START = 0.8


def check_drawing(name: str, checkpoint: Checkpoint) -> None:
    """InvalidArgumentError where no request can be for the checkpoint of that name."""
    if not checkpoint.family.draws:
        by_itself = "in ip_adapters" if IMAGE_ENCODER.name in checkpoint.components else "as vae"
        where = "in controls" if controls(checkpoint.components) else by_itself
        raise invalid("checkpoint", f"{name!r} is {checkpoint.family.title}; name it {where}, beside a checkpoint")


def check_vae(asked: Asked, checkpoint: Checkpoint, vae: Checkpoint | None) -> None:
    """InvalidArgumentError where a VAE is named that is none, or has latents of another shape."""
    if vae is None:
        return
    if vae.family.draws:
        raise invalid("vae", f"{asked.vae!r} is no VAE alone but {vae.family.title}; register its VAE by its own path")
    _check_latents("vae", asked.vae, vae, checkpoint)


def check_refiner(asked: Asked, checkpoint: Checkpoint, refiner: Checkpoint | None) -> None:
    """InvalidArgumentError where a refiner is named that cannot be one of this checkpoint, or needed and not named."""
    if refiner is None:
        if asked.refiner_start is not None:
            raise invalid("refiner_start", "says where a refiner takes over; name one, or leave it out")
        return
    if refiner.family.name not in checkpoint.family.refiners:
        problem = f"is {refiner.family.title}, which does not finish what {checkpoint.family.title} began"
        raise invalid("refiner", f"{asked.refiner!r} {problem}")
    if refiner.editing:
        problem = f"edits an image {refiner.editing.way}, and finishes nothing that another has begun"
        raise invalid("refiner", f"{asked.refiner!r} {problem}")
    _check_latents("refiner", asked.refiner, refiner, checkpoint)


def _check_latents(field: str, name: str, other: Checkpoint, checkpoint: Checkpoint) -> None:
    for what in ("latent_channels", "vae_scale_factor"):
        ours, theirs = getattr(checkpoint, what), getattr(other, what)
        if ours != theirs:
            raise invalid(field, f"{name!r} has {what} {theirs}, and the checkpoint {ours}")


def start_of(asked: Asked, strength: float, solver: Solver, refining: Solver) -> float:
    """The share of the training schedule at which the refiner takes over; both have a step left to do."""
    start = _DEFAULT_START if asked.refiner_start is None else asked.refiner_start
    if not 0 < start < 1:
        raise invalid("refiner_start", f"must be a number between 0 and 1, not {start}")
    if not solver.evaluations(strength, end=start):
        remedy = "; raise it" if not asked.images else "; raise it, or strength"
        raise _nothing_left(start, "the checkpoint", remedy)
    if not refining.evaluations(start=start):
        raise _nothing_left(start, "the refiner", "; lower it")
    return start


def _nothing_left(start: float, whom: str, remedy: str) -> InvalidArgumentError:
    return invalid("refiner_start", f"{start:g} leaves no step to {whom}{remedy}, or ask for more num_inference_steps")
