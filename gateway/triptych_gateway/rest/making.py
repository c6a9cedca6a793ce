"""Pictures made for a task, and kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from triptych.sdk.events import Result, Timings
from triptych_gateway.gateway import Gateway
from triptych_gateway.kept.pictures import Drawn, Picture
from triptych_gateway.task import Task


@dataclass(frozen=True)
class Made:
    """What came of a generation. Tasks are remembered for long: the files are where they are kept."""

    pictures: list[Picture]
    warnings: list[str]
    timings: Timings


@dataclass
class About:
    """What the REST API remembers of a task."""

    request: dict[str, Any]
    made: Made | None = field(default=None, repr=False)


def making(gateway: Gateway, prompt: str, parameters: dict[str, Any]) -> Callable[[Task[Made]], Awaitable[Made]]:
    """The work of a task."""

    async def work(task: Task[Made]) -> Made:
        result = await task.generate(prompt, **parameters)
        checkpoint = task.queued.checkpoint if task.queued else ""
        kept = await gateway.pictures.keep(task.caller, drawn(result, prompt, checkpoint))
        made = Made(kept, result.warnings, result.timings)
        if isinstance(task.about, About):
            task.about.made = made
        return made

    return work


def drawn(result: Result, prompt: str, checkpoint: str) -> list[Drawn]:
    """A result's pictures, to be kept."""
    found: Sequence[bool | None] = result.nsfw_content_detected or [None] * len(result.files)
    rows = zip(result.files, result.seeds, result.images, found, strict=True)
    return [
        Drawn(file, prompt, checkpoint, seed, image.size, result.image_format, is_nsfw)
        for file, seed, image, is_nsfw in rows
    ]
