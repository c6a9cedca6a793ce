"""Health over a real gRPC server: asked, watched, and watched by one that does not read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.http2 import Unreading
from tests.orchestrator.rpc import serving
from triptych.v1 import generation_pb2 as pb
from triptych.v1 import generation_pb2_grpc as generation
from triptych_orchestrator.api.health import Health
from triptych_orchestrator.api.interceptor import ErrorInterceptor

SERVICE = "triptych.v1.GenerationService"
UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = range(4)


class Generation(generation.GenerationServiceServicer):  # type: ignore[misc]
    async def Cancel(self, request: Any, context: Any) -> pb.CancelResponse:  # noqa: N802
        return pb.CancelResponse()


@pytest.fixture
async def health() -> Health:
    return Health([SERVICE])


@pytest.fixture
async def address(health: Health) -> AsyncIterator[str]:
    def add(server: grpc.aio.Server) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        generation.add_GenerationServiceServicer_to_server(Generation(), server)

    async with serving(ErrorInterceptor(), add=add) as address:
        yield address


def watch(channel: grpc.aio.Channel, service: str) -> AsyncIterator[Any]:
    call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service), timeout=20)
    return call.__aiter__()


async def statuses(watched: AsyncIterator[Any], count: int) -> list[int]:
    return [(await anext(watched)).status for _ in range(count)]


async def test_it_can_be_asked(health: Health, address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for status in (NOT_SERVING, SERVING, NOT_SERVING):
            health.announce(serving=status == SERVING)
            for service in ("", SERVICE):
                assert (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status == status
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_it_can_be_watched_until_it_is_closed(health: Health, address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        first, second, nobody = (watch(channel, service) for service in (SERVICE, SERVICE, "no.such.Service"))
        assert await statuses(first, 1) == await statuses(second, 1) == [NOT_SERVING]
        assert await statuses(nobody, 1) == [SERVICE_UNKNOWN]
        health.announce(serving=True)
        assert await statuses(first, 1) == await statuses(second, 1) == [SERVING]
        # One that leaves takes nothing with it.
        await first.aclose()  # type: ignore[attr-defined]
        health.announce(serving=False)
        health.close()
        assert [each.status async for each in second] == [NOT_SERVING]
        assert [each.status async for each in nobody] == []


async def test_a_watcher_that_does_not_read_holds_nobody_up(health: Health, address: str) -> None:
    with Unreading(address) as deaf:
        deaf.call("/grpc.health.v1.Health/Watch", b"")
        assert await asyncio.to_thread(deaf.answered.wait, 20)
        async with grpc.aio.insecure_channel(address) as channel:
            watched = watch(channel, "")
            assert await statuses(watched, 1) == [NOT_SERVING]
            health.announce(serving=True)
            assert await statuses(watched, 1) == [SERVING]


async def test_a_client_can_choose_by_it(health: Health, address: str) -> None:
    """Client-side health checking: calls wait until the service that the client names is SERVING."""
    config = {"healthCheckConfig": {"serviceName": SERVICE}, "loadBalancingConfig": [{"round_robin": {}}]}
    options = [("grpc.service_config", json.dumps(config))]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        stub = generation.GenerationServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Cancel(pb.CancelRequest(), timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        health.announce(serving=True)
        await stub.Cancel(pb.CancelRequest(), timeout=20, wait_for_ready=True)
