"""Pictures made while the caller waits, or for a task that goes on by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from triptych.errors import NotFoundError
from triptych_gateway.caller import Caller, CallerOf
from triptych_gateway.described import Answer
from triptych_gateway.gateway import Gateway, GatewayOf
from triptych_gateway.kept.pictures import Picture
from triptych_gateway.rest.answers import MadeAnswer, TaskAnswer, made_answer, task_answer
from triptych_gateway.rest.bodies import drawing_of, generation_of, told
from triptych_gateway.rest.documents import GENERATION_BODY, MADE_ANSWERS, TaskId
from triptych_gateway.rest.events import EventStream, event_stream, of_all, of_task
from triptych_gateway.rest.making import About, making
from triptych_gateway.task import Task

router = APIRouter(tags=["generation"])


class StartedAnswer(Answer):
    """A task that has begun."""

    id: str
    """By which it is called."""


class TasksAnswer(Answer):
    """All of a caller's tasks."""

    tasks: list[TaskAnswer]
    """The latest first."""


@router.post("/generate", response_model=MadeAnswer, openapi_extra=GENERATION_BODY, responses=MADE_ANSWERS)
async def generate(request: Request, gateway: GatewayOf, caller: CallerOf) -> Response:
    """Makes pictures while the caller waits; who leaves cancels.

    `Accept` chooses the answer: `application/json`; `image/*`, the first picture's file itself; or
    `text/event-stream`, the events of a task, the last of which is `done` or `failed`.
    """
    body, files = await generation_of(request)
    accepted = request.headers.get("accept", "").lower()
    is_image = "image/" in accepted and "application/json" not in accepted
    wanted = accepted.partition("image/")[2].partition(",")[0].partition(";")[0].strip()
    if is_image and body.image_format is None and wanted in ("jpeg", "webp"):
        body.image_format = wanted
    prompt, parameters = await drawing_of(gateway, caller, body, files)
    about = About(told(body, files))
    if "text/event-stream" in accepted:
        return event_stream(_while_listening(gateway, caller, about, prompt, parameters))
    task = gateway.tasks.start(caller, making(gateway, prompt, parameters), label=prompt, about=about)
    try:
        made = await task.value()
    finally:
        if not task.is_done:
            task.cancel()
    if is_image:
        return await _image(gateway, caller, made.pictures[0])
    kept = [await gateway.pictures.file(caller, picture.id) for picture in made.pictures if body.base64]
    return JSONResponse(await asyncio.to_thread(made_answer(task.id, made, kept).model_dump))


@router.post("/tasks", status_code=202, response_model=StartedAnswer, openapi_extra=GENERATION_BODY)
async def start(request: Request, gateway: GatewayOf, caller: CallerOf) -> StartedAnswer:
    """Makes pictures, whoever leaves; they are found by the task, and among the pictures.

    A task ends with the gateway that runs it.
    """
    body, files = await generation_of(request)
    prompt, parameters = await drawing_of(gateway, caller, body, files)
    about = About(told(body, files))
    task = gateway.tasks.start(caller, making(gateway, prompt, parameters), label=prompt, about=about)
    return StartedAnswer(id=task.id)


@router.get("/tasks")
async def tasks(gateway: GatewayOf, caller: CallerOf) -> TasksAnswer:
    """The caller's generations that run, and those that ended lately."""
    return TasksAnswer(tasks=[task_answer(t) for t in gateway.tasks.of(caller) if isinstance(t.about, About)])


@router.get("/tasks/events", response_class=EventStream)
async def all_events(gateway: GatewayOf, caller: CallerOf) -> EventStream:
    """Events of all of the caller's tasks, those that run and those that begin later; without end.

    Who lists the tasks once this has begun misses nothing.
    """
    return event_stream(of_all(gateway.tasks, caller))


@router.get("/tasks/{task_id}")
async def task(task_id: TaskId, gateway: GatewayOf, caller: CallerOf) -> TaskAnswer:
    """How one of them fares."""
    return task_answer(_found(gateway, caller, task_id))


@router.get("/tasks/{task_id}/events", response_class=EventStream)
async def events(task_id: TaskId, gateway: GatewayOf, caller: CallerOf) -> EventStream:
    """Its events, until it ends: `state`, `preview` where the request asked for any, then `done` or `failed`."""
    return event_stream(of_task(_found(gateway, caller, task_id)))


@router.delete("/tasks/{task_id}", status_code=204)
async def cancel(task_id: TaskId, gateway: GatewayOf, caller: CallerOf) -> None:
    """Cancels it; nothing happens to one that has ended."""
    _found(gateway, caller, task_id).cancel()


async def _while_listening(
    gateway: Gateway, caller: Caller, about: About, prompt: str, parameters: dict[str, Any]
) -> AsyncGenerator[str, None]:
    task = gateway.tasks.start(caller, making(gateway, prompt, parameters), label=prompt, about=about)
    try:
        async for each in of_task(task):
            yield each
    finally:
        if not task.is_done:
            task.cancel()


def _found(gateway: Gateway, caller: Caller, task_id: str) -> Task[Any]:
    task = gateway.tasks.get(caller, task_id)
    if task is None or not isinstance(task.about, About):
        raise NotFoundError(f"there is no task {task_id!r}; it may have ended long ago, or with another gateway")
    return task


async def _image(gateway: Gateway, caller: Caller, picture: Picture) -> Response:
    file = await gateway.pictures.file(caller, picture.id)
    headers = {"Content-Location": f"/api/v1/pictures/{picture.id}", "Triptych-Seed": str(picture.seed)}
    return Response(file, media_type=picture.media_type, headers=headers)
