"""Every form of address that gRPC takes, with and without a proxy in the environment."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.sdk.fake_server import FakeServer
from triptych import errors
from triptych.cli.main import main
from triptych.sdk import AsyncClient, Client


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture
def places(tmp_path: Path) -> Iterator[dict[str, str | int]]:
    """What stands for the placeholders of a target of the server that runs meanwhile."""
    places = [f"unix:{tmp_path}/socket", f"unix-abstract:{tmp_path}", *(["[::1]:{port}"] if has_ipv6() else [])]
    fake = FakeServer(*places)
    fake.start()
    yield {"port": fake.port, "path": str(tmp_path)}
    fake.stop()


TARGETS = [
    "localhost:{port}",
    "0.0.0.0:{port}",
    "dns:localhost:{port}",
    "dns:///127.0.0.1:{port}",
    "ipv4:127.0.0.1:{port}",
    "ipv4:127.0.0.1:1,127.0.0.1:{port}",
    "unix:{path}/socket",
    "unix://{path}/socket",
    "unix-abstract:{path}",
    *(["[::1]:{port}", "dns:///[::1]:{port}", "ipv6:[::1]:{port}", "ipv6:%5B::1%5D:{port}"] if has_ipv6() else []),
]


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize("target", TARGETS)
def test_a_server_on_this_machine_is_found_beside_a_proxy(target: str, places: dict[str, str | int]) -> None:
    with Client(target.format_map(places), timeout_s=10) as client:
        assert client.server_info().version == "9.9"


@pytest.mark.usefixtures("dead_proxy")
async def test_by_the_asyncio_client_and_the_command(
    places: dict[str, str | int], capsys: pytest.CaptureFixture[str]
) -> None:
    address = "dns:///localhost:{port}".format_map(places)
    async with AsyncClient(address, timeout_s=10) as client:
        assert (await client.server_info()).version == "9.9"
    assert main(["version", "--server", "--address", address, "--timeout", "10"]) == 0
    assert f"server 9.9 at {address}" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["192.0.2.1:50051", "dns:///192.0.2.1:50051", "ipv4:192.0.2.1:50051"])
def test_another_machine_is_asked_for_by_way_of_the_proxy(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "no_grpc_proxy", "grpc_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with (
        socket.create_server(("127.0.0.1", 0)) as proxy,
        ThreadPoolExecutor(1) as pool,
        Client(target, timeout_s=10) as client,
    ):
        proxy.settimeout(10)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        call = pool.submit(client.server_info)
        with proxy.accept()[0] as connection:
            assert connection.recv(4096).startswith(b"CONNECT 192.0.2.1:50051 HTTP/1.")
        assert isinstance(call.exception(10), errors.UnavailableError)


async def test_every_client_has_a_connection_of_its_own(server: FakeServer) -> None:
    with Client(server.address) as first, Client(server.address) as second:
        for client in (first, second, first):
            client.generate("x")
    async with AsyncClient(server.address) as first_async, AsyncClient(server.address) as second_async:
        for each in (first_async, second_async, first_async):
            await each.generate("x")
    assert server.peers[0] == server.peers[2] and server.peers[3] == server.peers[5]
    assert len(set(server.peers)) == 4
