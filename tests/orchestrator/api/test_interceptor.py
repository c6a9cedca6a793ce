"""Errors and undecodable bytes, with each of gRPC's kinds of methods on a real server."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection

from tests.orchestrator.rpc import serving
from triptych.errors import InvalidArgumentError, TriptychError
from triptych.v1 import generation_pb2 as pb
from triptych.v1 import generation_pb2_grpc as generation
from triptych.v1 import loras_pb2, loras_pb2_grpc
from triptych.wire.status import from_rpc_error
from triptych_orchestrator.api.interceptor import ErrorInterceptor

# A field of the wrong kind, text that is not UTF-8, a message that is cut, a field number of 0.
GARBLED = [b"\x0a\x02\xff\xfe", b"\x0a\x7fx", b"\x00\x00"]


class Generation(generation.GenerationServiceServicer):  # type: ignore[misc]
    async def Generate(self, request: Any, context: Any) -> AsyncGenerator[pb.GenerateResponse, None]:  # noqa: N802
        yield pb.GenerateResponse(queued=pb.Queued(request_id=request.request_id))
        raise ZeroDivisionError

    async def Cancel(self, request: Any, context: Any) -> pb.CancelResponse:  # noqa: N802
        raise ZeroDivisionError


class Loras(loras_pb2_grpc.LoraServiceServicer):  # type: ignore[misc]
    async def AddLora(self, requests: AsyncIterator[Any], context: Any) -> loras_pb2.Lora:  # noqa: N802
        return loras_pb2.Lora(name="".join([each.name async for each in requests]))


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    def add(server: grpc.aio.Server) -> None:
        generation.add_GenerationServiceServicer_to_server(Generation(), server)
        loras_pb2_grpc.add_LoraServiceServicer_to_server(Loras(), server)
        reflection.enable_server_reflection([reflection.SERVICE_NAME], server)

    async with serving(ErrorInterceptor(), add=add) as address, grpc.aio.insecure_channel(address) as channel:
        yield channel


async def error_of(call: Any) -> TriptychError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    return from_rpc_error(caught.value)


@pytest.mark.parametrize("garbled", GARBLED)
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("unary_unary", "/triptych.v1.GenerationService/Cancel"),
        ("unary_stream", "/triptych.v1.GenerationService/Generate"),
        ("stream_unary", "/triptych.v1.LoraService/AddLora"),
        ("stream_stream", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
    ],
)
async def test_bad_bytes_are_the_callers_fault(
    channel: grpc.aio.Channel, kind: str, method: str, garbled: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    call = getattr(channel, kind)(method)(iter([garbled]) if kind.startswith("stream") else garbled)
    error = await error_of(call)
    assert type(error) is InvalidArgumentError and error.message.startswith(f"{method}: ")
    (record,) = (record for record in caplog.records if record.name != "asyncio")
    assert record.message == "request cannot be decoded" and record.exc_info is None


async def test_a_bad_message_amid_a_stream(channel: grpc.aio.Channel) -> None:
    method = "/triptych.v1.LoraService/AddLora"
    good = loras_pb2.AddLoraRequest(name="a").SerializeToString()
    answer = await channel.stream_unary(method)(iter([good, good]))
    assert loras_pb2.Lora.FromString(answer).name == "aa"
    assert type(await error_of(channel.stream_unary(method)(iter([good, GARBLED[0]])))) is InvalidArgumentError


async def test_what_nobody_expected_is_internal_and_in_the_log(
    channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    stub = generation.GenerationServiceStub(channel)
    for call in (stub.Cancel(pb.CancelRequest()), stub.Generate(pb.GenerateRequest())):
        error = await error_of(call)
        assert type(error) is TriptychError and error.message == "internal error; the server's log has the details"
    # A traceback is a text already where another test has had a stage set up its log lines.
    traced = [record.message for record in caplog.records if record.exc_info or record.exc_text]
    assert traced == ["unexpected failure"] * 2
