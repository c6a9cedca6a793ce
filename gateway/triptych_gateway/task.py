"""One call's work, with its state for whoever may ask.

value = await task.value()  # what the work returned that `Tasks.start` was given

A state is the latest, not a history: who listens slowly misses steps, and nothing piles up.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Generic, TypeVar, Unpack

from triptych import AsyncClient
from triptych.errors import CancelledError, TriptychError
from triptych.logs import request_id
from triptych.sdk.events import Event, Queued, Result, Step, require_result
from triptych.sdk.parameters import GenerateParameters
from triptych_gateway.caller import Caller

Value = TypeVar("Value")


def _cancelled() -> TriptychError:
    return CancelledError("the request was cancelled")


class Task(Generic[Value]):
    """One call's work: a number of jobs, each a `Generate`, one after the other."""

    def __init__(
        self,
        client: AsyncClient,
        task_id: str,
        caller: Caller,
        jobs: int,
        label: str,
        about: Any = None,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self.id = task_id
        self.caller = caller
        self.label = label  # for people: what it makes
        self.about = about  # for its API alone, which put it there
        self.jobs = jobs
        self.jobs_done = 0
        self.started_s = time.time()
        self.queued: Queued | None = None  # of the job that runs, as are step and preview
        self.step: Step | None = None
        self.preview: Any = None  # a PIL image
        self.error: BaseException | None = None
        self.is_done = False
        self.is_interrupted = False
        self.is_skipped = False
        self._client = client
        self._why: Callable[[], TriptychError] = _cancelled
        self._tell_others = tell
        self._changed = asyncio.Event()
        self._job: asyncio.Task[Result] | None = None
        self._work: asyncio.Task[Value] | None = None

    async def generate(self, prompt: str, **parameters: Unpack[GenerateParameters]) -> Result:
        """Runs one job; CancelledError where it is skipped."""
        self.queued = self.step = self.preview = None
        self._job = asyncio.create_task(self._generate(prompt, parameters))
        try:
            return await self._job
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                self._job.cancel()
                raise
            raise CancelledError("the job was skipped") from None
        finally:
            self._job = None  # whose pictures nobody wants twice
            self.jobs_done += 1
            self._tell()

    async def value(self) -> Value:
        """What its work came to; its error is raised, CancelledError where it was cancelled."""
        work = self._work  # which another that waits may let go of meanwhile
        if work is None:
            raise CancelledError("the request has ended, and its pictures were taken")
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if work.cancelled():
                raise self._why() from None
            raise

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yields now, after each change, and once more at the end."""
        while True:
            changed, is_done = self._changed, self.is_done
            yield
            if is_done:
                return
            await changed.wait()

    async def ended(self) -> None:
        """Returns once it has."""
        async for _ in self.changes():
            pass

    def interrupt(self) -> None:
        """No further job begins and the one that runs is given up; work that looks at the flag may end well."""
        self.is_interrupted = True
        self.skip()

    def skip(self) -> None:
        """Gives up the job that runs; the next one begins."""
        self.is_skipped = True
        if self._job is not None:
            self._job.cancel()

    def cancel(self, why: Callable[[], TriptychError] = _cancelled) -> None:
        """Ends all of it at once; `why` makes the error that its caller is told."""
        self.is_interrupted, self._why = True, why
        if self._work is not None:
            self._work.cancel()

    def let_go(self) -> None:
        """Of what it came to, which one caller had: a task is remembered for long, and pictures are large."""
        if self.is_done:
            self._work = self.preview = None

    def begin(self, work: Callable[[Task[Value]], Awaitable[Value]]) -> None:
        """For `Tasks`."""

        async def run() -> Value:
            return await work(self)

        self._work = asyncio.create_task(run())
        self._work.add_done_callback(self._ended)

    async def _generate(self, prompt: str, parameters: GenerateParameters) -> Result:
        last: Event | None = None
        if identity := request_id.get():  # the orchestrator's log has it too; of several jobs each needs its own
            parameters.setdefault("request_id", f"{identity}.{secrets.token_hex(4)}")
        async with aclosing(self._client.stream(prompt, **parameters)) as events:
            async for last in events:
                match last:
                    case Queued():
                        self.queued = last
                    case Step():
                        self.step, self.preview = last, last.preview or self.preview
                self._tell()
        return require_result(last)

    def _ended(self, work: asyncio.Task[Value]) -> None:
        self.error = self._why() if work.cancelled() else work.exception()
        self.is_done = True
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._tell_others()
