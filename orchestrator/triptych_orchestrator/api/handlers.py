"""What the server's interceptors share: a method's handler with its behaviour wrapped, whichever of gRPC's four kinds.

Behaviours are coroutines where one message answers, and asynchronous generators where many do.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import grpc

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]]
Unary = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]
Streaming = Callable[[Any, grpc.aio.ServicerContext], AsyncGenerator[Any, None]]


def wrapped(
    handler: grpc.RpcMethodHandler,
    unary: Callable[[Unary], Unary],
    streaming: Callable[[Streaming], Streaming],
    *,
    keep_deserializer: bool = True,
) -> grpc.RpcMethodHandler:
    """The handler with its behaviour in `unary` or `streaming`; without its deserializer it is given bytes."""
    asks, answers = ("stream" if many else "unary" for many in (handler.request_streaming, handler.response_streaming))
    kind = f"{asks}_{answers}"
    behaviour = getattr(handler, kind)
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(
        streaming(behaviour) if handler.response_streaming else unary(behaviour),
        handler.request_deserializer if keep_deserializer else None,
        handler.response_serializer,
    )
