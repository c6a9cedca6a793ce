"""Errors survive the trip over real gRPC; what gRPC itself reports becomes an error with a remedy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from triptych import errors
from triptych.wire.status import from_rpc_error, to_status

METHOD = "/test.Test/Call"


@contextmanager
def serving(handler: Callable[[bytes, Any], bytes]) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    method = grpc.unary_unary_rpc_method_handler(handler)
    server.add_registered_method_handlers("test.Test", {"Call": method})
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Call": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def call(address: str, timeout: float = 10, request: bytes = b"") -> errors.TriptychError:
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(METHOD)(request, timeout=timeout)
    return from_rpc_error(raised.value, address)


def over_the_wire(error: errors.TriptychError) -> errors.TriptychError:
    def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort_with_status(rpc_status.to_status(to_status(error)))
        raise AssertionError

    with serving(fail) as address:
        return call(address)


@pytest.mark.parametrize("kind", errors.BY_REASON.values(), ids=lambda kind: kind.reason)
def test_every_error_comes_back_as_itself(kind: type[errors.TriptychError]) -> None:
    error = kind("no luck: größer", file="unet/config.json")
    error.metadata["message"] = "not a clash with the constructor's argument"
    back = over_the_wire(error)
    assert type(back) is kind
    assert str(back) == back.message == "no luck: größer"
    assert back.metadata == error.metadata


def test_a_status_has_one_error_info_and_names_the_field() -> None:
    status = to_status(errors.invalid("width", "must be a multiple of 8"))
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    first, second = status.details
    assert first.Unpack(info) and second.Unpack(bad_request)
    assert (status.code, status.message) == (code_pb2.INVALID_ARGUMENT, "width: must be a multiple of 8")
    assert (info.reason, info.domain, dict(info.metadata)) == ("INVALID_ARGUMENT", "triptych", {"field": "width"})
    assert [v.field for v in bad_request.field_violations] == ["width"]
    assert len(to_status(errors.NotFoundError("none")).details) == 1


@pytest.mark.parametrize("letter", ["x", "ж", "図", "\ud800"])
def test_a_huge_message_still_arrives(letter: str) -> None:
    back = over_the_wire(errors.InvalidArgumentError(letter * 20_000, field="prompt", value=letter * 20_000))
    assert type(back) is errors.InvalidArgumentError
    assert back.metadata["field"] == "prompt"
    assert back.message.endswith("…")
    assert len(back.message.encode()) <= 1024


def aborting(status: Any) -> errors.TriptychError:
    def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort_with_status(status)
        raise AssertionError

    with serving(fail) as address:
        return call(address)


def with_details(code: int, *details: Any) -> Any:
    status = status_pb2.Status(code=code, message="message")
    for detail in details:
        status.details.add().Pack(detail)
    return rpc_status.to_status(status)


def test_a_reason_of_a_newer_server_falls_back_to_its_code() -> None:
    info = error_details_pb2.ErrorInfo(reason="LORA_MISSING", domain="triptych", metadata={"name": "x"})
    back = aborting(with_details(code_pb2.NOT_FOUND, info))
    assert type(back) is errors.NotFoundError
    assert back.metadata == {"name": "x"}


def test_another_domain_is_not_ours() -> None:
    info = error_details_pb2.ErrorInfo(reason="CHECKPOINT_INVALID", domain="proxy.example")
    assert type(aborting(with_details(code_pb2.INTERNAL, info))) is errors.TriptychError


def test_codes_without_details() -> None:
    assert type(aborting(with_details(code_pb2.INVALID_ARGUMENT))) is errors.InvalidArgumentError
    denied = aborting(with_details(code_pb2.PERMISSION_DENIED))
    assert type(denied) is errors.TriptychError
    assert str(denied) == "message (gRPC PERMISSION_DENIED)"


def test_garbled_details_leave_the_code() -> None:
    def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "gone")
        raise AssertionError

    with serving(fail) as address:
        assert type(call(address)) is errors.NotFoundError


def test_deadline() -> None:
    def wait(request: bytes, context: grpc.ServicerContext) -> bytes:
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(10)
        return b""

    with serving(wait) as address:
        back = call(address, timeout=0.1)
    assert type(back) is errors.DeadlineExceededError
    assert "deadline" in str(back)


def test_a_request_that_grpc_does_not_read_is_explained() -> None:
    with serving(lambda request, context: b"") as address:
        back = call(address, request=bytes(5 << 20))
    assert type(back) is errors.ResourceExhaustedError
    assert "max_image_bytes limits a request's images" in str(back) and "(5242880 vs. 4194304)" in str(back)


def test_an_address_that_does_not_answer_is_named() -> None:
    back = call("127.0.0.1:1")
    assert type(back) is errors.UnavailableError
    assert "127.0.0.1:1 does not answer" in str(back)
    assert back.metadata == {"address": "127.0.0.1:1"}


async def test_asyncio_errors_are_read_alike() -> None:
    async def fail(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort_with_status(rpc_status.to_status(to_status(errors.invalid("seed", "too big"))))
        raise AssertionError

    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(fail)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Call": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await channel.unary_unary(METHOD)(b"")
    finally:
        await server.stop(None)
    back = from_rpc_error(raised.value)
    assert type(back) is errors.InvalidArgumentError
    assert back.metadata == {"field": "seed"}


def test_when_to_try_again_travels_as_retry_info() -> None:
    status = to_status(errors.ResourceExhaustedError("full", retry_after_seconds="7"))
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.seconds == 7
    assert over_the_wire(errors.ResourceExhaustedError("full", retry_after_seconds="7")).metadata == {
        "retry_after_seconds": "7"
    }
