"""The LoRA registry over gRPC; errors are raised and the interceptor maps them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import grpc

from triptych.errors import invalid
from triptych.v1 import loras_pb2, loras_pb2_grpc
from triptych_orchestrator.loras import Lora, LoraRegistry


class LoraService(loras_pb2_grpc.LoraServiceServicer):  # type: ignore[misc]
    """Lists, takes and forgets LoRAs."""

    def __init__(self, registry: LoraRegistry) -> None:
        self._registry = registry

    async def ListLoras(  # noqa: N802
        self, request: loras_pb2.ListLorasRequest, context: grpc.aio.ServicerContext
    ) -> loras_pb2.ListLorasResponse:
        """All, by name."""
        return loras_pb2.ListLorasResponse(loras=map(_message, self._registry.entries()))

    async def AddLora(  # noqa: N802
        self, requests: AsyncIterator[loras_pb2.AddLoraRequest], context: grpc.aio.ServicerContext
    ) -> loras_pb2.Lora:
        """Takes a name, then the file in chunks; whoever leaves before the end leaves nothing."""
        first = await anext(requests, loras_pb2.AddLoraRequest())
        if first.WhichOneof("part") != "name":
            raise invalid("name", "must be the first message, the file in chunks after it")
        return _message(await self._registry.add(first.name, _chunks(requests)))

    async def RemoveLora(  # noqa: N802
        self, request: loras_pb2.RemoveLoraRequest, context: grpc.aio.ServicerContext
    ) -> loras_pb2.RemoveLoraResponse:
        """Forgets a name."""
        self._registry.remove(request.name)
        return loras_pb2.RemoveLoraResponse()


async def _chunks(requests: AsyncIterator[loras_pb2.AddLoraRequest]) -> AsyncGenerator[bytes, None]:
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise invalid("chunk", "every message after the first must be one")
        yield request.chunk


def _message(lora: Lora) -> loras_pb2.Lora:
    return loras_pb2.Lora(
        name=lora.name,
        digest=lora.digest,
        size_bytes=lora.size_bytes,
        format=lora.file.format,
        modules=len(lora.file.modules),
        rank=lora.file.rank,
    )
