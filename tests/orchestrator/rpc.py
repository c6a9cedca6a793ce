"""A real gRPC server in the test's own loop, with interceptors and services of the test's choice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc


@asynccontextmanager
async def serving(*interceptors: Any, add: Callable[[grpc.aio.Server], None]) -> AsyncIterator[str]:
    """Its address; `add` registers services."""
    server = grpc.aio.server(interceptors=interceptors)
    add(server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield address
    finally:
        await server.stop(None)
