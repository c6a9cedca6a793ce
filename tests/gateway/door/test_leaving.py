"""Who leaves cancels, behind the real server and on a real socket."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, File, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tests.gateway.door.serving import listening, sent
from triptych_gateway.door.leaving import CancelOnDisconnect

FILE = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx\r\n--b--\r\n'
REQUESTS = {
    "get": ("GET /get HTTP/1.1\nHost: x", b""),
    "json": ("POST /json HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 13", b'{"steps": 20}'),
    "file": (
        f"POST /file HTTP/1.1\nHost: x\nContent-Type: multipart/form-data; boundary=b\nContent-Length: {len(FILE)}",
        FILE,
    ),
    "events": ("GET /events HTTP/1.1\nHost: x", b""),
}


class Body(BaseModel):
    steps: int


class Work:
    """Work without end, which tells when it begins and when it is cancelled."""

    def __init__(self) -> None:
        self.begun, self.cancelled, self.done_later = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def endless(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def application(work: Work) -> FastAPI:
    app = FastAPI()
    app.add_middleware(CancelOnDisconnect)

    @app.get("/get")
    async def get() -> None:
        await work.endless()

    @app.post("/json")
    async def json(body: Body) -> None:
        assert body.steps == 20
        await work.endless()

    @app.post("/file")
    async def file(f: UploadFile = File()) -> None:  # noqa: B008
        assert await f.read() == b"x"
        await work.endless()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def each() -> AsyncGenerator[bytes, None]:
            yield b"data: 1\n\n"
            await work.endless()

        return StreamingResponse(each(), media_type="text/event-stream")

    @app.get("/later")
    async def later(tasks: BackgroundTasks) -> str:
        async def rest() -> None:
            await asyncio.sleep(0.1)
            work.done_later.set()

        tasks.add_task(rest)
        return "at once"

    @app.post("/digest")
    async def digest(request: Request) -> str:
        found = hashlib.sha256()
        async for chunk in request.stream():
            found.update(chunk)
        return found.hexdigest()

    return app


@pytest.mark.parametrize("kind", REQUESTS)
async def test_who_leaves_cancels(kind: str) -> None:
    work = Work()
    head, body = REQUESTS[kind]
    async with listening(application(work)) as port:
        async with sent(port, head, body):
            await asyncio.wait_for(work.begun.wait(), 5)
            assert not work.cancelled.is_set()
        await asyncio.wait_for(work.cancelled.wait(), 5)


async def test_what_is_to_be_done_after_the_answer_is_done() -> None:
    work = Work()
    async with listening(application(work)) as port:
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/later")).json() == "at once"
        await asyncio.wait_for(work.done_later.wait(), 5)


async def test_a_large_body_arrives_whole_and_one_connection_serves_many_requests() -> None:
    body = bytes(range(256)) * 40_000
    async with listening(application(Work())) as port, httpx.AsyncClient(trust_env=False) as client:
        for _ in range(3):
            answer = await client.post(f"http://127.0.0.1:{port}/digest", content=body)
            assert answer.json() == hashlib.sha256(body).hexdigest()


async def test_a_server_that_stops_cancels_what_still_runs() -> None:
    work = Work()
    async with listening(application(work), timeout_graceful_shutdown=1) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /get HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(work.begun.wait(), 5)
    assert work.cancelled.is_set()
    writer.close()
