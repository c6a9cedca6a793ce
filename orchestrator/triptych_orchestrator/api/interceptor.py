"""Maps errors to gRPC statuses, for every method of every service, so that none of them does."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from triptych.errors import InvalidArgumentError, TriptychError
from triptych.wire.status import to_status
from triptych_orchestrator.api.handlers import Continuation, Streaming, Unary, wrapped

logger = logging.getLogger("triptych.rpc")

Decode = Callable[[Any], Any]


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no type information
    """A TriptychError aborts with its status and ErrorInfo; anything else is logged and becomes INTERNAL.

    Messages are decoded here as well: gRPC would call bytes that are none the server's own failure. Where many messages
    answer one, that one is let go of at once, as by the other interceptors: it may bring files, and the call last long.
    """

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        """Wraps the method's behaviour."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        decode = _decoder(handler, handler_call_details.method)
        return wrapped(
            handler,
            lambda behaviour: _unary(behaviour, decode),
            lambda behaviour: _streaming(behaviour, decode),
            keep_deserializer=False,
        )


def _decoder(handler: grpc.RpcMethodHandler, method: str) -> Decode:
    """From what gRPC hands over, bytes or an iterator of them, to what the behaviour takes."""

    def one(message: bytes) -> Any:
        try:
            return handler.request_deserializer(message)
        except DecodeError as error:
            logger.info("request cannot be decoded", extra={"method": method, "size_bytes": len(message)})
            raise InvalidArgumentError(f"{method}: the request is no message of this method: {error}") from error

    async def each(messages: AsyncIterator[bytes]) -> AsyncGenerator[Any, None]:
        async for message in messages:
            yield one(message)

    return each if handler.request_streaming else one


def _unary(behaviour: Unary, decode: Decode) -> Unary:
    async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await behaviour(decode(request), context)
        except Exception as error:
            await _abort(error, context)

    return answer


def _streaming(behaviour: Streaming, decode: Decode) -> Streaming:
    async def answer(request: Any, context: grpc.aio.ServicerContext) -> AsyncGenerator[Any, None]:
        try:
            responding = behaviour(decode(request), context)
            del request
            async with aclosing(responding) as responses:
                async for response in responses:
                    yield response
        except Exception as error:
            await _abort(error, context)

    return answer


async def _abort(error: Exception, context: grpc.aio.ServicerContext) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, TriptychError):
        logger.error("unexpected failure", exc_info=error)
        error = TriptychError("internal error; the server's log has the details")
    await context.abort_with_status(rpc_status.to_status(to_status(error)))
