"""A job's pictures as the files that it asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from triptych_orchestrator.jobs.events import Picture
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.told import of_picture
from triptych_orchestrator.pipeline.hooks.base import Finished
from triptych_orchestrator.pipeline.writing.files import write
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.pipeline.writing.made_of import MadeOf

# Of the request's JSON: raised when what a reader knows is not enough any more.
_REVISION = 1


def pictures_of(job: Job, images: Sequence[Finished], made_of: MadeOf) -> tuple[list[Picture], list[str]]:
    """The files of finished pictures, and what is worth knowing of them."""
    seeds = job.seeds if len(job.seeds) == len(images) else job.seeds * len(images)
    pictures, warnings = [], [*made_of.warnings]
    for index, (image, seed) in enumerate(zip(images, seeds, strict=True)):
        told = describe(job, seed, index, made_of), request_json(job, index, made_of)
        written = write(image.pixels, job.format, *told)
        height, width, _ = image.pixels.shape
        did = image.nsfw_content_detected, image.watermarked
        pictures.append(Picture(written.data, job.format.name, seed, width, height, *did))
        warnings += written.warnings
    return pictures, list(dict.fromkeys(warnings))


def request_json(job: Job, index: int, made_of: MadeOf) -> str:
    """The request that makes this picture, and what it was made of: no time, no id and no host, so that equal requests
    give equal files.
    """
    return told_json(*of_picture(job.told, index), made_of.told(job.loras.content))


def told_json(request: Mapping[str, Any], place: int | None, made_of: Mapping[str, Any]) -> str:
    """A request as the JSON in its pictures; `place` is that among several that it makes."""
    told: dict[str, Any] = {"revision": _REVISION, "request": request, "made_of": made_of}
    if place is not None:
        told["index"] = place
    return json.dumps(told, sort_keys=True, separators=(",", ":"))
