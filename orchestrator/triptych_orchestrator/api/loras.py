"""The LoRA registry over gRPC; errors are raised and the interceptor maps them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import grpc

from triptych.errors import DeadlineExceededError, invalid
from triptych.v1 import loras_pb2, loras_pb2_grpc
from triptych_orchestrator.library.loras.registry import Lora, LoraRegistry


class LoraService(loras_pb2_grpc.LoraServiceServicer):  # type: ignore[misc]
    """Lists, takes and forgets LoRAs; an upload that brings nothing for `pause_s` is ended."""

    def __init__(self, registry: LoraRegistry, pause_s: float) -> None:
        self._registry = registry
        self._pause_s = pause_s

    async def ListLoras(  # noqa: N802
        self, request: loras_pb2.ListLorasRequest, context: grpc.aio.ServicerContext
    ) -> loras_pb2.ListLorasResponse:
        """All, by name."""
        loras = self._registry.entries()
        problems = await asyncio.to_thread(lambda: [self._registry.problem(lora) for lora in loras])
        return loras_pb2.ListLorasResponse(loras=map(_message, loras, problems))

    async def AddLora(  # noqa: N802
        self, requests: AsyncIterator[loras_pb2.AddLoraRequest], context: grpc.aio.ServicerContext
    ) -> loras_pb2.Lora:
        """Takes a name, then the file in chunks; whoever leaves before the end leaves nothing.

        What a name meant that is replaced stays, under its digest.
        """
        messages = _timely(requests, self._pause_s)
        first = await anext(messages, loras_pb2.AddLoraRequest())
        if first.WhichOneof("part") != "name":
            raise invalid("name", "must be the first message, the file in chunks after it")
        added = await self._registry.add(first.name, _chunks(messages), replace=first.replace, keep=True)
        return _message(added)

    async def RemoveLora(  # noqa: N802
        self, request: loras_pb2.RemoveLoraRequest, context: grpc.aio.ServicerContext
    ) -> loras_pb2.RemoveLoraResponse:
        """Forgets a name."""
        self._registry.remove(request.name)
        return loras_pb2.RemoveLoraResponse()


async def _timely(
    requests: AsyncIterator[loras_pb2.AddLoraRequest], pause_s: float
) -> AsyncGenerator[loras_pb2.AddLoraRequest, None]:
    """The messages, empty chunks left out; DeadlineExceededError once none has come for `pause_s`."""
    while True:
        try:
            async with asyncio.timeout(pause_s):
                message = await anext(requests, None)
                while message is not None and message.WhichOneof("part") == "chunk" and not message.chunk:
                    message = await anext(requests, None)
        except TimeoutError:
            problem = f"the upload brought nothing for {pause_s:g} s (max_lora_upload_pause_seconds)"
            raise DeadlineExceededError(problem) from None
        if message is None:
            return
        yield message


async def _chunks(requests: AsyncIterator[loras_pb2.AddLoraRequest]) -> AsyncGenerator[bytes, None]:
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise invalid("chunk", "every message after the first must be one")
        yield request.chunk


def _message(lora: Lora, problem: str = "") -> loras_pb2.Lora:
    return loras_pb2.Lora(
        name=lora.name,
        digest=lora.digest,
        size_bytes=lora.size_bytes,
        format=lora.facts.format,
        modules=lora.facts.modules,
        rank=lora.facts.rank,
        error=problem,
        algorithms=lora.facts.algorithms,
    )
