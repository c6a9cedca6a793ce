"""Clients that are slow on purpose lose their connection; those that are only large do not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from tests.gateway.door.serving import listening
from triptych_gateway.door.leaving import CancelOnDisconnect
from triptych_gateway.door.protocol import PatientProtocol

QUICK: dict[str, Any] = {"http": PatientProtocol.within(0.3, 0.3)}
LARGE_BYTES = 40 << 20


def application() -> FastAPI:
    app = FastAPI()
    app.add_middleware(CancelOnDisconnect)

    @app.get("/large")
    async def large() -> Response:
        return Response(bytes(LARGE_BYTES))

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(1)
        return "done"

    return app


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /large HT", b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"],
    ids=["nothing", "half a head", "half a body"],
)
async def test_who_does_not_go_on_is_cut_off(begun: bytes) -> None:
    async with listening(application(), **QUICK) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_head_that_trickles_is_cut_off() -> None:
    async with listening(application(), **QUICK) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(ConnectionError):
            for letter in b"GET /large HTTP/1.1\r\nX: " + b"x" * 200:
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()


async def test_who_does_not_take_the_answer_is_cut_off() -> None:
    lost = asyncio.Event()

    class Telling(PatientProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    async with listening(application(), http=Telling.within(0.3, 0.3)) as port:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.wait_for(lost.wait(), 60)
            taken = 0
            with suppress(ConnectionResetError):
                while part := connection.recv(1 << 20):
                    taken += len(part)
        assert taken < LARGE_BYTES


async def test_large_bodies_long_answers_and_slow_routes_are_served() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x" * 1000
            await asyncio.sleep(0.1)

    async with (
        listening(application(), **QUICK) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        assert (await http.post("/size", content=slowly())).json() == 8000  # longer than a pause may be
        assert (await http.get("/slow")).json() == "done"
        assert len((await http.get("/large")).content) == LARGE_BYTES
