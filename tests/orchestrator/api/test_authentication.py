"""Who may call over gRPC, by the clients that people have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

import triptych
from tests.orchestrator.rpc import serving
from triptych.errors import UnauthenticatedError
from triptych.keys import KeyFile, Keys
from triptych.keys.entry import Entry
from triptych.v1 import checkpoints_pb2 as checkpoints
from triptych.v1 import generation_pb2 as generation
from triptych.v1.checkpoints_pb2_grpc import CheckpointServiceServicer, add_CheckpointServiceServicer_to_server
from triptych.v1.generation_pb2_grpc import GenerationServiceServicer, add_GenerationServiceServicer_to_server
from triptych_orchestrator.__main__ import parse
from triptych_orchestrator.api.authentication import Authentication
from triptych_orchestrator.api.interceptor import ErrorInterceptor

STAGES = ["--encoder=a:1", "--unet=a:1", "--vae=a:1", "--state-dir=x"]


class Checkpoints(CheckpointServiceServicer):  # type: ignore[misc]
    async def ListCheckpoints(self, request: Any, context: Any) -> Any:  # noqa: N802
        return checkpoints.ListCheckpointsResponse(checkpoints=[checkpoints.Checkpoint(name="demo")])


class Generation(GenerationServiceServicer):  # type: ignore[misc]
    async def Generate(self, request: Any, context: Any) -> Any:  # noqa: N802
        yield generation.GenerateResponse(result=generation.Result())


def add(server: grpc.aio.Server) -> None:
    add_CheckpointServiceServicer_to_server(Checkpoints(), server)
    add_GenerationServiceServicer_to_server(Generation(), server)


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    file = KeyFile(tmp_path / "credentials")
    file.put(Entry.with_password("ann", "correct horse"))
    return file


@pytest_asyncio.fixture
async def address(file: KeyFile) -> AsyncIterator[str]:
    async with serving(ErrorInterceptor(), Authentication(Keys([file.path])), add=add) as address:
        yield address


async def test_both_clients_are_let_in_by_their_key(address: str) -> None:
    async with triptych.AsyncClient(address, api_key="ann.correct horse") as client:
        assert [one.name for one in await client.checkpoints()] == ["demo"]
        assert [event async for event in client.stream("a dot")]

    def sync() -> None:
        with triptych.Client(address, api_key="ann.correct horse") as client:
            assert [one.name for one in client.checkpoints()] == ["demo"]
            assert list(client.stream("a dot"))

    await asyncio.to_thread(sync)


@pytest.mark.parametrize("key", ["", "ann.wrong", "eve.correct horse", "correct horse"])
async def test_who_is_not_known_is_not_let_in(address: str, key: str) -> None:
    async with triptych.AsyncClient(address, api_key=key) as client:
        with pytest.raises(UnauthenticatedError):
            await client.checkpoints()
        with pytest.raises(UnauthenticatedError):
            await client.generate("a dot")


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/run/x"])
def test_this_machine_alone_needs_no_credentials(listen: str) -> None:
    assert parse([*STAGES, "--listen", listen]).listen == listen


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "10.0.0.7:1", "example.org:1"])
def test_a_public_address_wants_credentials(listen: str, file: KeyFile, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([*STAGES, "--listen", listen])
    assert "triptych keys add NAME" in capsys.readouterr().err
    assert parse([*STAGES, "--listen", listen, "--open-to-anyone"]).open_to_anyone
    assert parse([*STAGES, "--listen", listen, "--credentials", str(file.path)]).credentials == (file.path,)


@pytest.mark.parametrize("given", [["--tls-cert=x"], ["--tls-key=x"], ["--tls-cert=/none", "--tls-key=/none"]])
def test_tls_wants_both_files(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([*STAGES, *given])
    assert "tls_" in capsys.readouterr().err
