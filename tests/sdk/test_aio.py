from __future__ import annotations

import asyncio
import inspect
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.fake_server import FakeServer
from triptych import errors
from triptych.sdk import AsyncClient, Client, Queued, Result, Step, aio
from triptych.sdk.images import add_images


def test_the_clients_have_the_same_methods_and_parameters() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(f).parameters) for name, f in methods if not name.startswith("_")}

    assert public(Client) == public(AsyncClient)


async def test_generate(async_client: AsyncClient) -> None:
    result = await async_client.generate("a red circle", seed=0, width=24, height=32)
    assert result.images[0].size == (24, 32)
    assert result.seeds == [0]


async def test_requests_run_together(async_client: AsyncClient) -> None:
    results = await asyncio.gather(*(async_client.generate("x", seed=seed) for seed in range(8)))
    assert [result.seeds for result in results] == [[seed] for seed in range(8)]


async def test_stream_yields_every_event(async_client: AsyncClient) -> None:
    kinds = [type(event) async for event in async_client.stream("a red circle")]
    assert kinds == [Queued, Step, Step, Step, Result]


async def test_images_are_read_beside_the_loop(
    async_client: AsyncClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def noted(*arguments: Any) -> None:
        threads.append(threading.current_thread())
        add_images(*arguments)

    monkeypatch.setattr(aio, "add_images", noted)
    await async_client.generate("x", image=[b"a", b"b"], strength=0.5)
    assert list(server.requests[0].images) == [b"a", b"b"] and server.requests[0].strength == 0.5
    assert threads[0] is not threading.main_thread()
    with pytest.raises(errors.InvalidArgumentError, match="image: is an empty list"):
        await async_client.generate("x", image=[])
    await async_client.generate("x", image=None)
    assert len(threads) == 2 and not server.requests[-1].images


async def test_leaving_the_stream_cancels_on_the_server(async_client: AsyncClient, server: FakeServer) -> None:
    async with aclosing(async_client.stream("slow")) as events:
        async for event in events:
            assert isinstance(event, Queued)
            break
    assert await asyncio.to_thread(server.ended.wait, 60)


async def test_cancelling_the_task_cancels_on_the_server(async_client: AsyncClient, server: FakeServer) -> None:
    task = asyncio.create_task(async_client.generate("slow", request_id="mine"))
    assert await asyncio.to_thread(server.started.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.ended.wait, 60)


async def test_errors(async_client: AsyncClient, nowhere: str) -> None:
    with pytest.raises(errors.ArtifactMissingError) as raised:
        await async_client.generate("fail ARTIFACT_MISSING")
    assert raised.value.metadata == {"field": "prompt"}
    with pytest.raises(errors.TriptychError, match="without a result"):
        await async_client.generate("silent")
    with pytest.raises(errors.DeadlineExceededError):
        await async_client.generate("slow", timeout_s=0.2)
    with pytest.raises(errors.InvalidArgumentError, match="seed"):
        await async_client.generate("x", seed=-1)
    async with AsyncClient(nowhere) as nobody:
        with pytest.raises(errors.UnavailableError, match=nowhere):
            await nobody.generate("x")
        with pytest.raises(errors.UnavailableError, match="not ready"):
            await nobody.wait_ready(0.2)


async def test_cancel_by_id(async_client: AsyncClient, server: FakeServer) -> None:
    task = asyncio.create_task(async_client.generate("slow", request_id="mine"))
    assert await asyncio.to_thread(server.started.wait, 60)
    await async_client.cancel("mine")
    with pytest.raises(errors.CancelledError, match="cancelled by request"):
        await task


async def test_closing_the_client_ends_its_calls(server: FakeServer) -> None:
    client = AsyncClient(server.address)
    task = asyncio.create_task(client.generate("slow", request_id="mine"))
    assert await asyncio.to_thread(server.started.wait, 60)
    await client.close()
    with pytest.raises(errors.CancelledError):
        await task
    await client.close()
    with pytest.raises(errors.FailedPreconditionError, match="closed"):
        await client.checkpoints()


async def test_the_other_calls(async_client: AsyncClient, tmp_path: Path) -> None:
    assert (await async_client.register_checkpoint("tiny", tmp_path)).path == str(tmp_path)
    assert (await async_client.load_checkpoint("tiny")).state == "loaded"
    assert (await async_client.unload_checkpoint("tiny")).state == "registered"
    assert [each.name for each in await async_client.checkpoints()] == ["tiny"]
    await async_client.unregister_checkpoint("tiny")
    assert await async_client.checkpoints() == []
    assert (await async_client.wait_ready(5)).version == "9.9"


def test_a_client_may_be_made_outside_of_a_loop(server: FakeServer) -> None:
    client = AsyncClient(server.address)

    async def use() -> str:
        async with client:
            return (await client.server_info()).version

    assert asyncio.run(use()) == "9.9"
