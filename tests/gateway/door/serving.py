"""Any ASGI application behind the real server, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp


@asynccontextmanager
async def listening(app: ASGIApp, **options: Any) -> AsyncGenerator[int, None]:
    """Gives its port; uvicorn's `options` may be named."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, access_log=False, server_header=False, **options)
    )
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not serving.done(), serving.result()
            await asyncio.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def sent(port: int, head: str, body: bytes = b"") -> AsyncGenerator[asyncio.StreamReader, None]:
    """A connection over which a request has gone out; the end of the block hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        await writer.drain()
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()
