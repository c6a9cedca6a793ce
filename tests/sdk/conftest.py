from __future__ import annotations

import contextlib
import socket
import threading
import time
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
def dead_proxy(nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable that gRPC looks for names a proxy that does not answer, and nothing is to go around it."""
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, f"http://{nowhere}")


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address at which nobody listens, held so that nobody else can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def tardy(server: FakeServer) -> Iterator[str]:
    """The server's address behind a relay that holds back its first bytes, as a machine with too much to do does."""
    host, _, port = server.address.rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection((host, int(port))) as upstream:

        def relay() -> None:
            downstream, _ = listener.accept()
            with downstream:
                threading.Thread(target=_copy, args=(downstream, upstream), daemon=True).start()
                time.sleep(1.5)
                _copy(upstream, downstream)

        relaying = threading.Thread(target=relay)
        relaying.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        relaying.join(10)


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Until either side hangs up."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
