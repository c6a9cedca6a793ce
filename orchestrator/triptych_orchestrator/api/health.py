"""gRPC's standard health service.

The library's own has watchers write while they hold the lock that an announcement needs: one that does not read would
keep the server from saying anything, and from stopping.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Response = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """One status for the server ("") and all its services: they are ready together."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = frozenset(["", *services])
        self._status: int = Response.NOT_SERVING
        self._changed = asyncio.Event()  # set once, then replaced by the next change's
        self._closed = False

    def announce(self, *, serving: bool) -> None:
        """Tells all who ask and watch."""
        self._status = Response.SERVING if serving else Response.NOT_SERVING
        self._wake()

    def close(self) -> None:
        """Ends the watchers' calls, which would keep the server up."""
        self._closed = True
        self._wake()

    async def Check(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """The status now."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")  # the protocol's answer
        return Response(status=self._status)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        """The status now, and whenever it has changed."""
        told = None
        while True:
            changed = self._changed
            status = self._status if request.service in self._services else Response.SERVICE_UNKNOWN
            if status != told:
                yield Response(status=status)
                told = status
            elif self._closed:
                return
            else:
                await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
