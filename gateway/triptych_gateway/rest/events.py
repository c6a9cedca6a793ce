"""Server-sent events of tasks: `state`, `preview`, and at last `done` or `failed`; each one's data has the task's `id`.

return event_stream(of_task(task))
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from fastapi.responses import StreamingResponse

from triptych_gateway.caller import Caller
from triptych_gateway.rest.answers import error_of, made_answer, status_of, told_error
from triptych_gateway.rest.making import About
from triptych_gateway.task import Task
from triptych_gateway.tasks import Tasks

_PULSE_S = 15.0
_PREVIEW_QUALITY = 80


class EventStream(StreamingResponse):
    """Server-sent events, for the description of routes."""

    media_type = "text/event-stream"


def event_stream(events: AsyncGenerator[str, None]) -> EventStream:
    """An answer that ends with the events, and that no proxy keeps back."""
    return EventStream(_with_pulse(events), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


def event(name: str, data: Any) -> str:
    """One event as it is sent."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def of_task(task: Task[Any]) -> AsyncGenerator[str, None]:
    """Ends with the task."""
    news = News(task)
    async for _ in task.changes():
        for each in await news.take():
            yield each


async def of_all(tasks: Tasks, caller: Caller) -> AsyncGenerator[str, None]:
    """Of all of a caller's tasks that run, and those that will; without end."""
    known = {task.id: News(task, is_old=task.is_done) for task in tasks.of(caller) if isinstance(task.about, About)}
    async for _ in tasks.changes(caller):
        for task in reversed(tasks.of(caller)):
            if isinstance(task.about, About):
                for each in await known.setdefault(task.id, News(task)).take():
                    yield each
        there = {task.id for task in tasks.of(caller)}
        known = {task_id: news for task_id, news in known.items() if task_id in there}


class News:
    """What has become of a task since somebody was told last."""

    def __init__(self, task: Task[Any], *, is_old: bool = False) -> None:
        self._task = task
        self._state: dict[str, Any] | None = None
        self._preview: Any = None
        self._is_over = is_old

    async def take(self) -> list[str]:
        """The events to send now."""
        if self._is_over:
            return []
        events = []
        state, preview, self._is_over = _state(self._task), self._task.preview, self._task.is_done
        if state != self._state:
            events.append(event("state", state))
        if preview is not None and preview is not self._preview:
            shown = await asyncio.to_thread(data_uri, preview)
            events.append(event("preview", {"id": self._task.id, "image": shown}))
        self._state, self._preview = state, preview
        return events + (self._last() if self._is_over else [])

    def _last(self) -> list[str]:
        task, about = self._task, self._task.about
        if (error := told_error(task)) is not None:
            return [event("failed", {"id": task.id, "error": error_of(error)})]
        if isinstance(about, About) and about.made is not None:
            return [event("done", {"id": task.id, **made_answer(task.id, about.made).model_dump()})]
        return []


def data_uri(image: Any) -> str:
    """A preview as a JPEG that a page can show; blocks."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=_PREVIEW_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _state(task: Task[Any]) -> dict[str, Any]:
    step, total = (task.step.step, task.step.total) if task.step else (0, 0)
    return {
        "id": task.id, "status": status_of(task), "step": step, "total": total,
        "jobs": task.jobs, "jobs_done": task.jobs_done,
    }  # fmt: skip


async def _with_pulse(events: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """A comment now and then, lest a proxy takes a long wait for an end."""
    upcoming: asyncio.Future[str] | None = None
    async with aclosing(events):
        try:
            while True:
                upcoming = upcoming or asyncio.ensure_future(anext(events))
                if not (await asyncio.wait({upcoming}, timeout=_PULSE_S))[0]:
                    yield ":\n\n"
                    continue
                found, upcoming = upcoming, None
                if isinstance(found.exception(), StopAsyncIteration):
                    return
                yield found.result()
        finally:
            if upcoming is not None:
                upcoming.cancel()
                with suppress(asyncio.CancelledError, StopAsyncIteration):
                    await upcoming
