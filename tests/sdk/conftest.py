from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sdk.fake_server import FakeServer
from triptych.sdk import AsyncClient, Client


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def client(server: FakeServer) -> Iterator[Client]:
    with Client(server.address, timeout_s=10) as client:
        yield client


@pytest.fixture
async def async_client(server: FakeServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.address, timeout_s=10) as client:
        yield client


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address at which nobody listens, held so that nobody else can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"
