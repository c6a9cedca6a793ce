"""The end of a server's work: what is under way may finish for a while, nothing new begins.

drain.begin()
await drain.idle(timeout_s=20)
drain.end()
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any

import grpc

from triptych.errors import ServerStoppingError
from triptych_orchestrator.api.handlers import Continuation, Streaming, Unary, wrapped

# Cancel ends work; the others only tell. Health and reflection are not ours.
_WORK = re.compile(r"/triptych\.v1\.\w+/(?!Get|List|Cancel)")


class Drain(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Counts the calls that are work; once it has begun it refuses further ones."""

    def __init__(self) -> None:
        self._begun = False
        self._ended = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._under_way = 0

    def begin(self) -> None:
        """Refuses work from now on."""
        self._begun = True

    async def idle(self, timeout_s: float) -> None:
        """Waits until no work is under way, for that long at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout_s)

    def end(self) -> None:
        """Stops the calls that one message would have answered; streams are the admission's to stop."""
        self._ended.set()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        """Wraps methods that are work."""
        handler = await continuation(handler_call_details)
        if handler is None or not _WORK.match(handler_call_details.method):
            return handler
        return wrapped(handler, self._unary, self._streaming)

    def _unary(self, behaviour: Unary) -> Unary:
        async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
            with self._work():
                return await self._unless_ended(behaviour(request, context))

        return answer

    def _streaming(self, behaviour: Streaming) -> Streaming:
        async def answer(request: Any, context: grpc.aio.ServicerContext) -> AsyncGenerator[Any, None]:
            with self._work():
                responding = behaviour(request, context)
                del request  # see ErrorInterceptor
                async with aclosing(responding) as responses:
                    async for response in responses:
                        yield response

        return answer

    @contextmanager
    def _work(self) -> Iterator[None]:
        if self._begun:
            raise ServerStoppingError("the server is stopping and takes nothing new; try again once it is back")
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _unless_ended(self, work: Awaitable[Any]) -> Any:
        working, ended = asyncio.ensure_future(work), asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise cut_off()
            return working.result()
        finally:
            ended.cancel()
            if not working.done():
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)


def cut_off() -> ServerStoppingError:
    """What a call is told that did not end in time."""
    return ServerStoppingError("the server is stopping, and this did not end in time; try again once it is back")
