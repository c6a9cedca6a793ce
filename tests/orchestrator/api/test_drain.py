"""The end of the work of a real gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import pytest

from tests.orchestrator.rpc import serving
from triptych.errors import ServerStoppingError
from triptych.v1 import checkpoints_pb2 as checkpoints
from triptych.v1 import checkpoints_pb2_grpc, generation_pb2_grpc
from triptych.v1 import generation_pb2 as pb
from triptych.wire.status import from_rpc_error
from triptych_orchestrator.api.drain import Drain
from triptych_orchestrator.api.interceptor import ErrorInterceptor

DONE_S = 20.0


class Working(generation_pb2_grpc.GenerationServiceServicer, checkpoints_pb2_grpc.CheckpointServiceServicer):  # type: ignore[misc]
    """Everything is under way until `finish` is set."""

    def __init__(self) -> None:
        self.loading = asyncio.Event()
        self.finish = asyncio.Event()
        self.left = asyncio.Event()

    async def Generate(self, request: Any, context: Any) -> AsyncGenerator[pb.GenerateResponse, None]:  # noqa: N802
        yield pb.GenerateResponse(queued=pb.Queued())
        await self.finish.wait()
        yield pb.GenerateResponse(result=pb.Result())

    async def LoadCheckpoint(self, request: Any, context: Any) -> checkpoints.Checkpoint:  # noqa: N802
        try:
            self.loading.set()
            await self.finish.wait()
            return checkpoints.Checkpoint(name=request.name)
        finally:
            self.left.set()

    async def ListCheckpoints(self, request: Any, context: Any) -> checkpoints.ListCheckpointsResponse:  # noqa: N802
        return checkpoints.ListCheckpointsResponse()

    async def Cancel(self, request: Any, context: Any) -> pb.CancelResponse:  # noqa: N802
        return pb.CancelResponse()


@pytest.fixture
async def drain() -> Drain:
    return Drain()


@pytest.fixture
async def working() -> Working:
    return Working()


@pytest.fixture
async def channel(drain: Drain, working: Working) -> AsyncIterator[grpc.aio.Channel]:
    def add(server: grpc.aio.Server) -> None:
        generation_pb2_grpc.add_GenerationServiceServicer_to_server(working, server)
        checkpoints_pb2_grpc.add_CheckpointServiceServicer_to_server(working, server)

    async with serving(ErrorInterceptor(), drain, add=add) as address, grpc.aio.insecure_channel(address) as channel:
        yield channel


async def refused(call: Any) -> ServerStoppingError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (call.read() if isinstance(call, grpc.aio.UnaryStreamCall) else call)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    error = from_rpc_error(caught.value)
    assert isinstance(error, ServerStoppingError)
    return error


async def test_what_runs_ends_and_nothing_new_begins(drain: Drain, working: Working, channel: grpc.aio.Channel) -> None:
    generation = generation_pb2_grpc.GenerationServiceStub(channel)
    catalog = checkpoints_pb2_grpc.CheckpointServiceStub(channel)
    await drain.idle(0)
    events = generation.Generate(pb.GenerateRequest()).__aiter__()
    assert (await anext(events)).WhichOneof("event") == "queued"
    load = catalog.LoadCheckpoint(checkpoints.LoadCheckpointRequest(name="a"))
    await asyncio.wait_for(working.loading.wait(), DONE_S)
    drain.begin()
    idle = asyncio.create_task(drain.idle(DONE_S))
    for call in (
        generation.Generate(pb.GenerateRequest()),
        catalog.LoadCheckpoint(checkpoints.LoadCheckpointRequest()),
    ):
        assert "takes nothing new" in (await refused(call)).message
    # Questions are answered, and work may be ended.
    await catalog.ListCheckpoints(checkpoints.ListCheckpointsRequest())
    await generation.Cancel(pb.CancelRequest())
    assert not idle.done()
    working.finish.set()
    assert (await load).name == "a"
    assert [event.WhichOneof("event") async for event in events] == ["result"]
    await asyncio.wait_for(idle, DONE_S)


async def test_what_does_not_end_in_time_is_told(drain: Drain, working: Working, channel: grpc.aio.Channel) -> None:
    load = checkpoints_pb2_grpc.CheckpointServiceStub(channel).LoadCheckpoint(checkpoints.LoadCheckpointRequest())
    await asyncio.wait_for(working.loading.wait(), DONE_S)
    drain.begin()
    await drain.idle(0.01)
    assert not load.done()
    drain.end()
    assert "did not end in time" in (await refused(load)).message
    assert working.left.is_set()
    await asyncio.wait_for(drain.idle(DONE_S), 1)
