"""The JSON that the REST API answers with, of pictures and tasks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from triptych.errors import CancelledError, TriptychError
from triptych.sdk.events import StageTiming, Timings
from triptych_gateway.described import Answer, described
from triptych_gateway.kept.pictures import Picture
from triptych_gateway.rest.making import About, Made
from triptych_gateway.task import Task


class PictureAnswer(Answer):
    """A picture that was made, and is kept for a while."""

    id: str
    """By which it is called in every path here, and as an image of another request, `picture:ID`."""
    url: str
    """Where its file is, with all its metadata, for the same caller."""
    thumbnail_url: str
    """Where a small WebP of it is."""
    made_s: float
    """When it was made, in seconds since 1970."""
    prompt: str
    """What was asked for."""
    checkpoint: str
    """What drew it; empty where it was enlarged alone."""
    seed: int
    """With which it is drawn again."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    format: str
    """`png`, `jpeg` or `webp`."""
    size_bytes: int
    """Of its file."""
    is_nsfw: bool | None
    """Whether it was found not safe for work, and is black therefore; null where nobody looked."""
    image_base64: str | None = None
    """The file, where the request asked for `base64`."""


StageTimingAnswer: Any = described("StageTiming", StageTiming, Answer)
TimingsAnswer: Any = described(
    "Timings", Timings, Answer, changed=dict.fromkeys(("encoder", "unet", "vae"), StageTimingAnswer)
)


class MadeAnswer(Answer):
    """What came of a generation."""

    task: str
    """The id of the task that it was."""
    pictures: list[PictureAnswer]
    """In the order of their seeds."""
    warnings: list[str]
    """Worth knowing, not fatal: a prompt cut at the encoder's limit, say."""
    timings: TimingsAnswer
    """Seconds, as the orchestrator saw them."""


class TaskAnswer(Answer):
    """A generation that goes on by itself, or has ended lately."""

    id: str
    """By which it is called."""
    status: str
    """`queued`, `running`, `done`, `failed` or `cancelled`."""
    step: int
    """How many of the steps are done."""
    total: int
    """How many there are; 0 until the first is done."""
    started_s: float
    """When it was asked for, in seconds since 1970."""
    request: dict[str, Any]
    """As it was asked for; images that came with it are `inline`."""
    pictures: list[PictureAnswer]
    """What came of it; empty before it is done."""
    warnings: list[str]
    """Worth knowing, not fatal; empty before it is done."""
    error: dict[str, Any] | None
    """Why it failed, as errors are told everywhere here."""


def error_of(error: TriptychError, status: int | None = None) -> dict[str, Any]:
    """The metadata are fields beside."""
    return {
        **error.metadata, "status": status or error.http_status, "reason": error.reason, "message": error.message
    }  # fmt: skip


def picture_answer(picture: Picture, file: bytes | None = None) -> PictureAnswer:
    """With its file where that is given."""
    path = f"/api/v1/pictures/{picture.id}"
    return PictureAnswer(
        url=path,
        thumbnail_url=f"{path}/thumbnail",
        image_base64=None if file is None else base64.b64encode(file).decode(),
        **vars(picture),
    )


def made_answer(task_id: str, made: Made, files: Sequence[bytes] = ()) -> MadeAnswer:
    """`files`: the pictures', to stand beside."""
    return MadeAnswer(
        task=task_id,
        pictures=[picture_answer(*pair) for pair in zip_longest(made.pictures, files)],
        warnings=made.warnings,
        timings=TimingsAnswer.model_validate(made.timings),
    )


def status_of(task: Task[Any]) -> str:
    """See `TaskAnswer.status`."""
    if not task.is_done:
        return "queued" if task.step is None else "running"
    if task.error is None:
        return "done"
    return "cancelled" if isinstance(task.error, CancelledError) else "failed"


def task_answer(task: Task[Any]) -> TaskAnswer:
    """Of a task of this API."""
    about: About = task.about
    error = told_error(task)
    return TaskAnswer(
        id=task.id,
        status=status_of(task),
        step=task.step.step if task.step else 0,
        total=task.step.total if task.step else 0,
        started_s=task.started_s,
        request=about.request,
        pictures=[picture_answer(picture) for picture in about.made.pictures] if about.made else [],
        warnings=about.made.warnings if about.made else [],
        error=error_of(error) if error and not isinstance(error, CancelledError) else None,
    )


def told_error(task: Task[Any]) -> TriptychError | None:
    """What nobody foresaw is in the gateway's log alone."""
    if task.error is None or isinstance(task.error, TriptychError):
        return task.error
    return TriptychError("something went wrong here; the gateway's log says what")
