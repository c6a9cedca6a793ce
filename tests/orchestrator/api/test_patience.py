"""Clients that do not take what they are sent lose their connection, and nobody else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest

from tests.http2 import Unreading
from tests.orchestrator.rpc import serving
from triptych.v1 import generation_pb2 as pb
from triptych.v1 import generation_pb2_grpc as generation
from triptych_orchestrator.api.hanging_up import hang_up
from triptych_orchestrator.api.patience import Patience

GENERATE, CANCEL = (f"/triptych.v1.GenerationService/{method}" for method in ("Generate", "Cancel"))


class Endless(generation.GenerationServiceServicer):  # type: ignore[misc]
    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def Generate(self, request: Any, context: Any) -> AsyncGenerator[pb.GenerateResponse, None]:  # noqa: N802
        try:
            while True:
                yield pb.GenerateResponse(step=pb.Step(preview_png=bytes(10_000)))
                await asyncio.sleep(0.01)
        finally:
            self.left.set()

    async def Cancel(self, request: Any, context: Any) -> pb.CancelResponse:  # noqa: N802
        return pb.CancelResponse()


@pytest.mark.parametrize(("method", "window_bytes"), [(GENERATE, 0), (GENERATE, 64 * 1024), (CANCEL, 0)])
async def test_whoever_does_not_read_is_hung_up_on(method: str, window_bytes: int) -> None:
    service = Endless()

    def add(server: grpc.aio.Server) -> None:
        generation.add_GenerationServiceServicer_to_server(service, server)

    async with serving(Patience(0.5), add=add) as address, grpc.aio.insecure_channel(address) as channel:
        reader = generation.GenerationServiceStub(channel).Generate(pb.GenerateRequest())
        reading = asyncio.create_task(read_all(reader))
        with Unreading(address, window_bytes) as unreading:
            unreading.call(method, b"")
            assert await asyncio.to_thread(unreading.ended.wait, 20)
        if method == GENERATE:
            await asyncio.wait_for(service.left.wait(), 20)
        # Who reads is not concerned, however long the stream.
        assert not reading.done()
        reader.cancel()
        await asyncio.wait({reading})


async def read_all(call: grpc.aio.UnaryStreamCall) -> None:
    async for _ in call:
        pass


@pytest.mark.parametrize("peer", ["unix:", "unix:/tmp/x", "ipv4:127.0.0.1:1", "ipv6:%5B::1%5D:1", "nonsense", ""])
def test_nobody_there_is_no_harm(peer: str) -> None:
    assert not hang_up(peer)
