"""What of a drawing is counted or weighed: pictures, seeds, strength, layers, what a UNet is told, priority."""

from __future__ import annotations

from collections.abc import Sequence

from triptych.checkpoint import Checkpoint
from triptych.errors import invalid
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.fields.numbers import given, real, within
from triptych_orchestrator.jobs.tasks.inpainting import check_count
from triptych_orchestrator.jobs.tasks.variations import random_seeds
from triptych_orchestrator.settings import Limits

# Of what a UNet is told of a picture: pixels, and scores.
_MOST_PIXELS_ASIDE = 1 << 16
_HIGHEST_SCORE = 100.0
_HIGHEST_PRIORITY = 100
# Of diffusers' image-to-image pipelines with a ControlNet, whichever the family.
_CONTROLLED_STRENGTH = 0.8


def seeds_of(seeds: tuple[int, ...], images: int) -> tuple[int, ...]:
    """As many as were given, one for all or one for each picture; random ones for each where there are none."""
    if not seeds:
        return random_seeds(images)
    if len(seeds) not in (1, images):
        raise invalid("seeds", f"must be none, one, or one for each of the {images} images, not {len(seeds)}")
    return seeds


def image_count_of(asked: Asked, count: int, limits: Limits) -> int:
    """How many pictures: as asked, or one for each image, of which there are one for all or one for each."""
    if asked.num_images_per_prompt is None and count > (most := limits.max_num_images_per_prompt):
        raise invalid("images", f"must be at most {most}, a picture being drawn from each, not {count}")
    count = within("num_images_per_prompt", count, limits.max_num_images_per_prompt)
    if len(asked.images) not in (0, 1, count):
        raise invalid("images", f"must be one for all, or one for each of the {count}, not {len(asked.images)}")
    check_count(asked.inpaint, count)
    return count


def strength_of(asked: Asked, checkpoint: Checkpoint, steps: int) -> float:
    """How much of the images is drawn anew: the family's own where it was left open, at least one step."""
    if not asked.images:
        if checkpoint.family.needs_image:
            raise invalid("images", f"is missing: {checkpoint.family.title} draws from an image alone; send one")
        if asked.strength is not None:
            raise invalid("strength", "says how much of an image is drawn anew; send one, or leave it out")
        return 1.0
    family = checkpoint.family
    drawn_again = _CONTROLLED_STRENGTH if asked.controls else family.strength
    own = family.inpaint_strength if asked.inpaint.wanted else drawn_again
    strength = real("strength", given(asked.strength, own), 1.0)
    if int(steps * strength) < 1:
        problem = f"{strength:g} of num_inference_steps {steps} is less than one step; raise one of the two"
        raise invalid("strength", problem)
    return strength


def clip_skip_of(clip_skip: int, experts: Sequence[Checkpoint]) -> int:
    """Within the layers that every text encoder of the checkpoints has."""
    if clip_skip > (most := min(each.most_clip_skip for each in experts)):
        raise invalid("clip_skip", f"must be from 0 to {most}, not {clip_skip}")
    return clip_skip


def told_of(field: str, numbers: tuple[float, ...]) -> tuple[float, ...]:
    """A size or a score that a UNet is told: pixels, or a number from 0 to 100."""
    """A size, or a score."""
    if len(numbers) == 1:
        return (real(field, numbers[0], _HIGHEST_SCORE),)
    if max(numbers) > _MOST_PIXELS_ASIDE:
        raise invalid(field, f"must be at most {_MOST_PIXELS_ASIDE} pixels each way, not {numbers[0]} and {numbers[1]}")
    return numbers


def priority_of(priority: int) -> int:
    """From -100 to 100."""
    if abs(priority) > _HIGHEST_PRIORITY:
        raise invalid("priority", f"must be from {-_HIGHEST_PRIORITY} to {_HIGHEST_PRIORITY}, not {priority}")
    return priority
