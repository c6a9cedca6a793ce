"""Ends calls whose client does not take what it is sent: an HTTP/2 window that it never grants holds that for good."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc

from triptych_orchestrator.api.handlers import Continuation, Streaming, Unary, wrapped
from triptych_orchestrator.api.hanging_up import hang_up

logger = logging.getLogger("triptych.rpc")


class _IsNews(logging.Filter):
    """Lets pass all but grpc's tracebacks about a message that it could not send: its client is gone."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and type(record.exc_info[1]).__name__ == "ExecuteBatchError")


logging.getLogger("grpc._cython.cygrpc").addFilter(_IsNews())


class Patience(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Hangs up on whoever leaves a message unread for `limit_s`; the first of a server's interceptors."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._hung_up: set[str] = set()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        """Wraps the method's behaviour."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        return handler and wrapped(
            handler, lambda inner: self._unary(inner, method), lambda inner: self._streaming(inner, method)
        )

    def _unary(self, behaviour: Unary, method: str) -> Unary:
        async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
            response = await behaviour(request, context)
            timer = self._timer(method, context)
            context.add_done_callback(lambda _: timer.cancel())
            return response

        return answer

    def _streaming(self, behaviour: Streaming, method: str) -> Streaming:
        async def answer(request: Any, context: grpc.aio.ServicerContext) -> AsyncGenerator[Any, None]:
            responding = behaviour(request, context)
            del request  # see ErrorInterceptor
            async with aclosing(responding) as responses:
                async for response in responses:
                    timer = self._timer(method, context)
                    try:
                        yield response  # gRPC comes back for the next one when this one is written
                    finally:
                        timer.cancel()

        return answer

    def _timer(self, method: str, context: grpc.aio.ServicerContext) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._limit_s, self._give_up, method, context.peer())

    def _give_up(self, method: str, peer: str) -> None:
        if peer in self._hung_up:
            return
        extra = {"method": method, "peer": peer, "seconds": self._limit_s}
        if hang_up(peer):
            self._hung_up.add(peer)
            # By then the timers of its other calls have come.
            asyncio.get_running_loop().call_later(self._limit_s, self._hung_up.discard, peer)
            logger.warning("client does not read; its connection is closed", extra=extra)
        else:
            logger.error("client does not read, and its connection was not found", extra=extra)
