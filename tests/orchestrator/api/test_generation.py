"""What a request keeps while it runs, on a real server with all interceptors; pictures are made elsewhere."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from PIL import Image

from tests.orchestrator.rpc import serving
from triptych import demo
from triptych.v1 import generation_pb2 as pb
from triptych.v1 import generation_pb2_grpc
from triptych_orchestrator.api import generation
from triptych_orchestrator.api.drain import Drain
from triptych_orchestrator.api.interceptor import ErrorInterceptor
from triptych_orchestrator.api.patience import Patience
from triptych_orchestrator.jobs.admission import Admission
from triptych_orchestrator.jobs.events import Result
from triptych_orchestrator.jobs.hints.preprocessors import Preprocessors
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.loras.choice import LoraChooser
from triptych_orchestrator.library.upscalers import Upscalers
from triptych_orchestrator.settings import Limits


class Library:
    """Has the demo."""

    def __init__(self) -> None:
        self.entry = Entry("demo", demo.checkpoint_path(), "")
        self.entry.open()

    def get(self, name: str) -> Entry:
        return self.entry

    def on_engine(self, entry: Entry, engine: str) -> Entry:
        return entry

    @asynccontextmanager
    async def use_all(
        self, entries: Iterable[Entry], models: Mapping[str, Collection[str]]
    ) -> AsyncIterator[dict[str, Entry]]:
        yield {entry.name: entry for entry in entries}


class Painter:
    """Paints nothing until it is let."""

    def __init__(self) -> None:
        self.painting = asyncio.Event()
        self.go = asyncio.Event()
        self.upscalers = Upscalers()
        self.preprocessors = Preprocessors()
        self.pool = None

    def models_of(self, job: Any) -> dict[str, set[str]]:
        return {}

    async def paint(
        self, job: Any, entries: Mapping[str, Entry], queue_seconds: float, deadline_s: float
    ) -> AsyncGenerator[Result, None]:
        self.painting.set()
        await self.go.wait()
        yield Result(job.request_id, [], [], 0.0, 0.0, {})


@pytest.fixture
async def painter() -> Painter:
    return Painter()


@pytest.fixture
async def stub(painter: Painter) -> AsyncIterator[generation_pb2_grpc.GenerationServiceStub]:
    limits = Limits()
    loras = LoraChooser(None)  # type: ignore[arg-type]
    service = generation.GenerationService(Library(), loras, painter, Admission(limits), limits)  # type: ignore[arg-type]

    def add(server: grpc.aio.Server) -> None:
        generation_pb2_grpc.add_GenerationServiceServicer_to_server(service, server)

    interceptors = (Patience(60), ErrorInterceptor(), Drain())
    async with serving(*interceptors, add=add) as address, grpc.aio.insecure_channel(address) as channel:
        yield generation_pb2_grpc.GenerationServiceStub(channel)


async def test_files_are_kept_no_longer_than_until_they_are_read(
    painter: Painter, stub: generation_pb2_grpc.GenerationServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages, files = [], []

    def noted(request: pb.GenerateRequest) -> Any:
        asked = asked_of(request)
        messages.append(request)
        files.extend(asked.images)
        return asked

    asked_of = generation.asked_of
    monkeypatch.setattr(generation, "asked_of", noted)
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, "PNG")
    events = stub.Generate(pb.GenerateRequest(images=[stream.getvalue()])).__aiter__()
    assert (await anext(events)).WhichOneof("event") == "queued"
    await painter.painting.wait()
    # The list's own reference, and that of the call which counts.
    assert (sys.getrefcount(messages[0]), sys.getrefcount(files[0])) == (2, 2)
    painter.go.set()
    assert [event.WhichOneof("event") async for event in events] == ["result"]
