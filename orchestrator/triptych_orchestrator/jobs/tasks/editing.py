"""Checkpoints that edit pictures: what a request must bring, and how close a picture keeps to its image."""

from __future__ import annotations

import math
from dataclasses import dataclass

from triptych.checkpoint import INSTRUCTED, Checkpoint
from triptych.errors import invalid
from triptych_orchestrator.jobs.asked import Asked

# Of diffusers' pipelines.
_DEFAULT_STEPS = 50
_DEFAULT_INSTRUCTED_STEPS = 100
_DEFAULT_IMAGE_GUIDANCE_SCALE = 1.5
_MOST_IMAGE_GUIDANCE_SCALE = 1000.0


@dataclass(frozen=True)
class Edit:
    """Editing as instructed (InstructPix2Pix): the UNet sees the job's images, and no step begins with them."""

    image_guidance_scale: float


def check_needs(asked: Asked, checkpoint: Checkpoint) -> None:
    """InvalidArgumentError about the first field that the checkpoint cannot do without and the request lacks."""
    if checkpoint.editing is None:
        return
    what = f"{asked.checkpoint!r} edits an image {checkpoint.editing.way}"
    if asked.hires:
        raise invalid("hires", f"is for checkpoints that draw from text or begin with an image: {what}; leave it out")
    given = {"images": asked.images, "mask_images": asked.inpaint.wanted}
    for field in checkpoint.editing.needs:
        if not given[field]:
            raise invalid(field, f"is missing: {what}; send {' and '.join(checkpoint.editing.needs)}")


def edit_of(asked: Asked, checkpoint: Checkpoint) -> Edit | None:
    """What the job has of it; InvalidArgumentError about a field that means nothing there, or only there."""
    if checkpoint.editing is not INSTRUCTED:
        if asked.image_guidance_scale is not None:
            problem = f"is for checkpoints that edit an image {INSTRUCTED.way}, which {asked.checkpoint!r} does not"
            raise invalid("image_guidance_scale", problem)
        return None
    mask = asked.inpaint.mask_images or None
    for field, value in (("strength", asked.strength), ("mask_images", mask), ("expand", asked.inpaint.expand)):
        if value is not None:
            problem = f"is of no use: {asked.checkpoint!r} edits the whole image {INSTRUCTED.way}, in all steps"
            raise invalid(field, f"{problem}; leave it out")
    scale = asked.image_guidance_scale
    scale = _DEFAULT_IMAGE_GUIDANCE_SCALE if scale is None else scale
    # Below 1 diffusers guides by nothing at all, not even by the prompt.
    if not math.isfinite(scale) or not 1 <= scale <= _MOST_IMAGE_GUIDANCE_SCALE:
        raise invalid("image_guidance_scale", f"must be a number from 1 to {_MOST_IMAGE_GUIDANCE_SCALE:g}, not {scale}")
    return Edit(scale)


def default_steps(checkpoint: Checkpoint) -> int:
    """Where a request does not say."""
    return _DEFAULT_INSTRUCTED_STEPS if checkpoint.editing is INSTRUCTED else _DEFAULT_STEPS
