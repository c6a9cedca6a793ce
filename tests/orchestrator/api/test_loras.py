"""The LoRA service behind a real gRPC server, errors mapped, with the SDK's client and with raw messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest

from tests.e2e.serving import wait_for
from tests.orchestrator.lora_files import RANK, any_lora
from triptych.errors import AlreadyExistsError, LoraInvalidError, NotFoundError, ResourceExhaustedError
from triptych.sdk import AsyncClient
from triptych.v1.loras_pb2 import AddLoraRequest
from triptych.v1.loras_pb2_grpc import LoraServiceStub, add_LoraServiceServicer_to_server
from triptych_orchestrator.api.interceptor import ErrorInterceptor
from triptych_orchestrator.api.loras import LoraService
from triptych_orchestrator.library.loras.registry import LoraRegistry
from triptych_orchestrator.settings import Limits

LIMIT_BYTES = 4 << 20
LIMITS = Limits(max_lora_bytes=LIMIT_BYTES, max_lora_uploads=3)
PAUSE_S = 0.5
with_short_pause = pytest.mark.parametrize("serving", [PAUSE_S], indirect=True)


@dataclass(frozen=True)
class Serving:
    folder: Path
    address: str
    client: AsyncClient

    def files(self) -> list[str]:
        return sorted(path.suffix for path in self.folder.iterdir())


@pytest.fixture
async def serving(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Serving]:
    folder = tmp_path / "loras"
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    add_LoraServiceServicer_to_server(
        LoraService(LoraRegistry(folder, LIMITS), getattr(request, "param", 60.0)), server
    )
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with AsyncClient(address, timeout_s=20) as client:
        yield Serving(folder, address, client)
    await server.stop(None)


async def test_a_lora_comes_and_goes(serving: Serving, tmp_path: Path) -> None:
    ink, wash = any_lora(tmp_path), any_lora(tmp_path, "wash", seed=1)
    added = await serving.client.add_lora("ink", ink)
    assert (added.name, added.format, added.modules, added.rank) == ("ink", "kohya", 1, RANK)
    assert await serving.client.add_lora("ink", ink) == added
    with pytest.raises(AlreadyExistsError):
        await serving.client.add_lora("ink", wash)
    assert await serving.client.loras() == [added] and added.algorithms == ["LoRA"]
    moved = await serving.client.add_lora("ink", wash, replace=True)
    former = replace(added, name=f"ink@{added.digest}")
    assert await serving.client.loras() == [moved, former] and moved.digest != former.digest
    await serving.client.remove_lora("ink")
    with pytest.raises(NotFoundError, match="there are: none"):
        await serving.client.remove_lora("ink")
    assert serving.files() == [".json"]


async def test_refusals_reach_the_client_amid_the_upload(serving: Serving, tmp_path: Path) -> None:
    large = tmp_path / "large.safetensors"
    with large.open("wb") as stream:
        stream.truncate(16 * LIMIT_BYTES)
    with pytest.raises(ResourceExhaustedError, match="max_lora_bytes"):
        await serving.client.add_lora("large", large)
    large.write_bytes(b"something else")
    with pytest.raises(LoraInvalidError, match=r"^large: "):
        await serving.client.add_lora("large", large)
    assert serving.files() == []


async def test_a_key_that_is_no_text_is_refused_when_it_is_sent(serving: Serving, tmp_path: Path) -> None:
    ink = any_lora(tmp_path)
    length = int.from_bytes(ink.read_bytes()[:8], "little")
    header, data = ink.read_bytes()[8 : 8 + length], ink.read_bytes()[8 + length :]
    odd = rb'{"a\ud800b": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, ' + header.strip()[1:]
    ink.write_bytes(len(odd).to_bytes(8, "little") + odd + data)
    with pytest.raises(LoraInvalidError, match=r"^ink: .* text in it is not Unicode"):
        await serving.client.add_lora("ink", ink)
    assert serving.files() == []


async def test_an_upload_that_is_left_leaves_nothing(serving: Serving) -> None:
    async with grpc.aio.insecure_channel(serving.address) as channel:
        call = LoraServiceStub(channel).AddLora()
        await call.write(AddLoraRequest(name="ink"))
        await call.write(AddLoraRequest(chunk=b"half a file"))
        await asyncio.to_thread(wait_for, lambda: serving.files() == [".part"], 10)
        call.cancel()
        await asyncio.to_thread(wait_for, lambda: not serving.files(), 10)


@with_short_pause
async def test_an_upload_that_stands_still_is_ended(serving: Serving, tmp_path: Path) -> None:
    async with grpc.aio.insecure_channel(serving.address) as channel:
        calls = [LoraServiceStub(channel).AddLora() for _ in range(4)]
        for number, call in enumerate(calls[:3]):
            await call.write(AddLoraRequest(name=f"ink {number}"))
            await call.write(AddLoraRequest(chunk=b"half a file"))
        for call in calls:  # one has not even said its name
            with pytest.raises(grpc.aio.AioRpcError, match=r"brought nothing for 0\.5 s") as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert serving.files() == []
    await serving.client.add_lora("ink", any_lora(tmp_path))  # there is room again


@with_short_pause
async def test_empty_chunks_bring_nothing(serving: Serving) -> None:
    async def trickle() -> AsyncIterator[AddLoraRequest]:
        yield AddLoraRequest(name="ink")
        while True:
            yield AddLoraRequest(chunk=b"")
            await asyncio.sleep(PAUSE_S / 20)

    async with grpc.aio.insecure_channel(serving.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="brought nothing"):
            await LoraServiceStub(channel).AddLora(trickle())
    assert serving.files() == []


async def test_uploads_beyond_the_limit_are_told_when_to_come_again(serving: Serving, tmp_path: Path) -> None:
    async with grpc.aio.insecure_channel(serving.address) as channel:
        calls = [LoraServiceStub(channel).AddLora() for _ in range(3)]
        for number, call in enumerate(calls):
            await call.write(AddLoraRequest(name=f"ink {number}"))
        await asyncio.to_thread(wait_for, lambda: serving.files() == [".part"] * 3, 10)
        with pytest.raises(ResourceExhaustedError, match="max_lora_uploads") as caught:
            await serving.client.add_lora("ink", any_lora(tmp_path))
        assert int(caught.value.metadata["retry_after_seconds"]) > 0
        for call in calls:
            call.cancel()
        await asyncio.to_thread(wait_for, lambda: not serving.files(), 10)
    await serving.client.add_lora("ink", any_lora(tmp_path))


async def test_a_broken_lora_is_listed_as_that(serving: Serving, tmp_path: Path) -> None:
    ink = any_lora(tmp_path)
    added = await serving.client.add_lora("ink", ink)
    (serving.folder / f"{added.digest}.safetensors").unlink()
    (listed,) = await serving.client.loras()
    assert (listed.digest, listed.error) == (added.digest, "its file is gone")
    assert await serving.client.add_lora("ink", ink) == added
    assert await serving.client.loras() == [added]


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "name"),
        ([AddLoraRequest()], "name"),
        ([AddLoraRequest(chunk=b"x")], "name"),
        ([AddLoraRequest(name="")], "name"),
        ([AddLoraRequest(name="a/b")], "name"),
        ([AddLoraRequest(name="a"), AddLoraRequest(name="b")], "chunk"),
        ([AddLoraRequest(name="a"), AddLoraRequest()], "chunk"),
    ],
)
async def test_messages_out_of_order(serving: Serving, messages: list[AddLoraRequest], field: str) -> None:
    async with grpc.aio.insecure_channel(serving.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match=f"{field}: ") as caught:
            await LoraServiceStub(channel).AddLora(iter(messages))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert serving.files() == []
