"""Lets in who is known: every method of `triptych.v1` wants credentials, where there is a file of such."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc

from triptych.keys import Keys
from triptych_orchestrator.api.handlers import Continuation, Streaming, Unary, wrapped

# Health is asked by whoever starts servers; reflection tells what the source tells.
_OURS = "/triptych.v1."


class Authentication(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """UNAUTHENTICATED for who is not; stands behind what maps errors."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        """Wraps our methods."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(_OURS):
            return handler
        return wrapped(handler, self._unary, self._streaming)

    def _unary(self, behaviour: Unary) -> Unary:
        async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
            await self._check(context)
            return await behaviour(request, context)

        return answer

    def _streaming(self, behaviour: Streaming) -> Streaming:
        async def answer(request: Any, context: grpc.aio.ServicerContext) -> AsyncGenerator[Any, None]:
            await self._check(context)
            responding = behaviour(request, context)
            del request  # see ErrorInterceptor
            async with aclosing(responding) as responses:
                async for response in responses:
                    yield response

        return answer

    async def _check(self, context: grpc.aio.ServicerContext) -> None:
        sent = [value for name, value in context.invocation_metadata() or () if name == "authorization"]
        await self._keys.name_of(sent[-1] if sent else "")
