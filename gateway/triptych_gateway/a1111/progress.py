"""How far a caller's call is, and ending it early: by the id that it was given, or else the caller's latest."""

from __future__ import annotations

import asyncio
import io
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from PIL import Image
from pydantic import BaseModel

from triptych.errors import NotFoundError
from triptych_gateway.a1111.images import encoded
from triptych_gateway.caller import Caller, CallerOf
from triptych_gateway.gateway import GatewayOf
from triptych_gateway.task import Task
from triptych_gateway.tasks import Tasks

router = APIRouter()

TXT2IMG, IMG2IMG, EXTRAS = "scripts_txt2img", "scripts_img2img", "extras"
_LABELS = (TXT2IMG, IMG2IMG, EXTRAS)

TaskId = Annotated[str, Query(alias="force_task_id", max_length=200, description="as the call was given it")]


class Progress(BaseModel):
    """Idle is `progress` 0 with a `job_count` of 0."""

    progress: float
    eta_relative: float
    state: dict[str, Any]
    current_image: str | None = None
    textinfo: str | None = None
    current_task: str | None = None


@router.get("/progress", response_model=Progress)
async def progress(
    gateway: GatewayOf, caller: CallerOf, task_id: TaskId = "", skip_current_image: bool = False
) -> Progress:
    """Of the caller's call of that id, or of the latest."""
    task = _running(gateway.tasks, caller, task_id)
    if task is None:
        return Progress(progress=0.0, eta_relative=0.0, state=_idle())
    done = _share(task)
    seconds = time.time() - task.started_s
    preview = None if skip_current_image or task.preview is None else await asyncio.to_thread(_png, task.preview)
    return Progress(
        progress=done,
        eta_relative=seconds / done - seconds,
        state=_state(task),
        current_image=preview,
        current_task=task.id,
    )


@router.post("/interrupt")
async def interrupt(request: Request, gateway: GatewayOf, caller: CallerOf, task_id: TaskId = "") -> dict[str, str]:
    """Ends the caller's call of that id, or the latest, which is answered with what it has made."""
    if task := _running(gateway.tasks, caller, task_id or await _told_id(request)):
        task.interrupt()
    return {}


@router.post("/skip")
async def skip(request: Request, gateway: GatewayOf, caller: CallerOf, task_id: TaskId = "") -> dict[str, str]:
    """Gives up the batch that is drawn; the next one begins."""
    if task := _running(gateway.tasks, caller, task_id or await _told_id(request)):
        task.skip()
    return {}


async def _told_id(request: Request) -> str:
    """From a body, if there is one; clients send all sorts of empty ones."""
    try:
        told = await request.json()
    except (ValueError, RecursionError):
        return ""
    found = told.get("force_task_id") if isinstance(told, dict) else ""
    return found if isinstance(found, str) else ""


def _running(tasks: Tasks, caller: Caller, task_id: str) -> Task[Any] | None:
    """None where nothing runs; NotFoundError where a call of that id never was."""
    if task_id:
        task = tasks.get(caller, task_id)
        if task is None or task.label not in _LABELS:
            raise NotFoundError(f"force_task_id: you have no call {task_id!r}", field="force_task_id")
        return None if task.is_done else task
    return next((task for task in tasks.of(caller) if task.label in _LABELS and not task.is_done), None)


def _share(task: Task[Any]) -> float:
    """As the web UI reckons it, from 0.01 to 1."""
    step = task.step.step / task.step.total if task.step else 0.0
    return min(1.0, 0.01 + (task.jobs_done + step) / task.jobs)


def _state(task: Task[Any]) -> dict[str, Any]:
    step = task.step
    return {
        "skipped": task.is_skipped,
        "interrupted": task.is_interrupted,
        "stopping_generation": False,
        "job": task.label if task.jobs == 1 else f"Batch {task.jobs_done + 1} out of {task.jobs}",
        "job_count": task.jobs,
        "job_timestamp": time.strftime("%Y%m%d%H%M%S", time.localtime(task.started_s)),
        "job_no": task.jobs_done,
        "sampling_step": step.step if step else 0,
        "sampling_steps": step.total if step else 0,
    }


def _idle() -> dict[str, Any]:
    flags = dict.fromkeys(("skipped", "interrupted", "stopping_generation"), False)
    numbers = dict.fromkeys(("job_count", "job_no", "sampling_step", "sampling_steps"), 0)
    return {**flags, **numbers, "job": "", "job_timestamp": "0"}


def _png(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return encoded(stream.getvalue())
