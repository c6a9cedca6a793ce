"""A request as its pictures tell it: what was sent, what was open filled in, files by their SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych_orchestrator.jobs.job import Job

# What a server fills in by itself, or a checkpoint says; all else that is left open means the same everywhere.
_FILLED = (
    "checkpoint",
    "num_inference_steps",
    "guidance_scale",
    "width",
    "height",
    "num_images_per_prompt",
    "seeds",
    "scheduler",
)
# Of these only beside another.
_FILLED_BESIDE = {"strength": "images", "refiner_start": "refiner"}
# Of which a request may have one for each picture; and of these, where there are several pictures, one draws for all.
_PER_PICTURE = ("seeds", "images", "mask_images", "subseeds")
_DRAWING = ("seeds", "subseeds")


def filled(told: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """What was sent, with nothing open that another server might fill in otherwise."""
    # What is expanded is as large as its image makes it.
    own = (name for name in _FILLED if "expand" not in told or name not in ("width", "height"))
    beside = (name for name, other in _FILLED_BESIDE.items() if other in told and not (job.edit and name == "strength"))
    names = [*own, *beside]
    values = {"image_format": job.format.name, **{name: getattr(job, name) for name in names}}
    if job.variation and job.variation.subseeds:
        values["subseeds"] = job.variation.subseeds
    return {**told, **{name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}}


def of_picture(told: Mapping[str, Any], index: int) -> tuple[dict[str, Any], int | None]:
    """The request that makes one picture, and its place among those that the request makes; None where it is alone.

    A picture with a seed of its own needs no company; of one seed for several, each needs those before it. So it does
    of one image that is drawn anew in part, whose latents the first seed draws for all.
    """
    count = told["num_images_per_prompt"]
    if count == 1:
        return dict(told), None
    is_shared = len(told.get("images", ())) == 1 and ("mask_images" in told or "expand" in told)
    if is_shared or any(len(told.get(name, ())) not in (0, count) for name in _DRAWING):
        return dict(told), index
    own = {name: [told[name][index]] for name in _PER_PICTURE if len(told.get(name, ())) == count}
    return {**told, **own, "num_images_per_prompt": 1}, None
