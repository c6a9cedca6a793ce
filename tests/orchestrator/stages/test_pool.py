"""Replicas that die, hang, lose models or cannot load them, as stand-ins without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.contract import UNET
from triptych.errors import CheckpointChangedError, CheckpointInvalidError, UnavailableError
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages import pool as module
from triptych_orchestrator.stages.pool import PlacedModel, Replica, ReplicaPool
from triptych_orchestrator.stages.triton import ModelMissingError, ReplicaDownError, Tensors

pytestmark = pytest.mark.fast_clock

MODEL = PlacedModel("x.unet", UNET, {"checkpoint": "/x", "engine": "onnxruntime"})
ANSWER: Tensors = {"noise_pred": np.zeros(1)}


class Server:
    """A Triton server: `up` or not, with models, and calls that can be held."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.up = True
        self.hangs = False
        self.models: set[str] = set()
        self.loads = 0
        self.calls = 0
        self.finished = 0
        self.changes: list[str] = []
        self.load_error: Exception | None = None
        self.stub_dead = False
        self.go = asyncio.Event()
        self.go.set()

    async def _answer(self) -> None:
        await self.go.wait()
        if self.hangs:
            await asyncio.sleep(3600)
        if not self.up:
            raise ReplicaDownError(f"{self.address}: UNAVAILABLE")

    def die(self) -> None:
        self.up, self.models = False, set()

    async def close(self) -> None: ...

    async def is_live(self, timeout_s: float) -> bool:
        if self.hangs:
            await asyncio.sleep(timeout_s)
        return self.up and not self.hangs

    async def is_model_ready(self, name: str) -> bool:
        return name in self.models

    async def load_model(self, name: str, spec: object, parameters: Mapping[str, str], timeout_s: float) -> str:
        await self._answer()
        if self.load_error:
            raise self.load_error
        self.loads += 1
        self.stub_dead = False
        self.models.add(name)
        self.changes.append("loaded")
        return "{}"

    async def stop_export(self, name: str, spec: object, timeout_s: float) -> None:
        self.changes.append("stop")

    async def unload_model(self, name: str, timeout_s: float) -> None:
        self.changes.append("unload")
        await self._answer()
        self.models.discard(name)

    async def infer(self, name: str, spec: object, tensors: object, request_id: str, timeout_s: float) -> Tensors:
        self.calls += 1
        await self._answer()
        if name not in self.models or self.stub_dead:
            raise ModelMissingError("unknown model")
        self.finished += 1
        return ANSWER


class World:
    """A pool of two unet replicas, watching."""

    def __init__(self, pool: ReplicaPool) -> None:
        self.pool = pool
        self.servers: list[Any] = [replica.server for replica in pool.replicas]

    async def run(self, preferred: Replica | None = None) -> str:
        _, replica = await self.pool.run(MODEL, lambda at: at.infer(MODEL, {}, "r", 5), preferred)
        return replica.name

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # of a stand-in, which has no event for it
                await asyncio.sleep(0.005)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(module, "TritonServer", Server)
    monkeypatch.setattr(module, "_POLL_INTERVAL_S", 0.01)
    settings = Settings(
        "x:1", None, {"unet": ("a:1", "b:1")}, Path("/nowhere"), recovery_timeout_s=0.5, liveness_timeout_s=0.1
    )
    pool = ReplicaPool(settings)
    await pool.start()
    try:
        made = World(pool)
        await made.until(lambda: pool.count_ready("unet") == 2)
        yield made
    finally:
        await pool.stop()


async def test_placing_loads_everywhere_once(world: World) -> None:
    await asyncio.gather(world.pool.place(MODEL), world.pool.place(MODEL))
    assert [server.loads for server in world.servers] == [1, 1]
    await world.pool.withdraw(MODEL)
    assert not any(server.models for server in world.servers)


async def test_a_dead_replica_is_left_for_the_other_and_restored(world: World) -> None:
    await world.pool.place(MODEL)
    world.servers[0].die()
    assert {await world.run() for _ in range(3)} == {"unet-1"}
    assert await world.run(world.pool.replicas[0]) == "unet-1"
    world.servers[0].up = True
    await world.until(lambda: "x.unet" in world.servers[0].models)
    assert [server.loads for server in world.servers] == [2, 1]


async def test_a_connection_lost_and_found_loads_nothing(world: World) -> None:
    await world.pool.place(MODEL)
    world.servers[0].up = False
    await world.until(lambda: not world.pool.replicas[0].ready)
    assert not world.pool.replicas[0].held
    world.servers[0].up = True
    await world.until(lambda: world.pool.replicas[0].held)
    assert world.servers[0].loads == 1


async def test_a_dead_stub_is_loaded_once_for_all_who_see_it(world: World) -> None:
    world.servers[1].die()
    await world.until(lambda: not world.pool.replicas[1].ready)
    await world.pool.place(MODEL)
    world.servers[0].stub_dead = True
    assert set(await asyncio.gather(*(world.run() for _ in range(5)))) == {"unet-0"}
    assert world.servers[0].loads == 2


async def test_who_sees_an_old_failure_late_forgets_no_new_load(world: World) -> None:
    replica = world.pool.replicas[0]
    await world.pool.place(MODEL)
    old = await replica.ensure(MODEL)
    replica.forget(old)
    new = await replica.ensure(MODEL)
    replica.forget(old)
    assert replica.held == {"x.unet": new}


async def test_who_may_not_load_it_again_leaves_it_to_those_who_hold_it(world: World) -> None:
    await world.pool.place(MODEL)
    first, second = world.pool.replicas
    for server in world.servers:
        server.load_error = CheckpointChangedError("unet/config.json: is another file now")
    world.servers[0].stub_dead = True
    assert await world.run(first) == "unet-1" == await world.run(second)
    assert first.held == {}
    world.servers[1].stub_dead = True
    for _ in range(2):
        with pytest.raises(CheckpointChangedError, match="another file"):
            await world.run()


async def test_a_stage_that_stays_down_is_unavailable_in_time(world: World) -> None:
    await world.pool.place(MODEL)
    for server in world.servers:
        server.die()
    clock = asyncio.get_running_loop().time
    began_s = clock()
    with pytest.raises(UnavailableError) as caught:
        await world.run()
    assert clock() - began_s == pytest.approx(0.5)
    assert caught.value.metadata == {"stage": "unet"}


async def test_a_stage_that_comes_back_in_time_serves(world: World) -> None:
    await world.pool.place(MODEL)
    for server in world.servers:
        server.die()
    task = asyncio.create_task(world.run())
    await asyncio.sleep(0.1)
    world.servers[1].up = True
    assert await task == "unet-1"


async def test_a_model_that_is_missing_for_ever_ends_the_tries(world: World) -> None:
    await world.pool.place(MODEL)

    async def missing(replica: Replica) -> None:
        raise ModelMissingError("gone")

    with pytest.raises(UnavailableError, match="the unet stage failed 4 times: gone"):
        await world.pool.run(MODEL, missing)


async def test_a_call_to_a_replica_that_hangs_is_taken_elsewhere(world: World) -> None:
    await world.pool.place(MODEL)
    world.servers[0].hangs = True
    assert await asyncio.wait_for(world.run(world.pool.replicas[0]), 5) == "unet-1"


async def test_a_load_error_fails_the_placing_and_leaves_nothing(world: World) -> None:
    world.servers[1].load_error = CheckpointInvalidError("lacks a tensor", tensor="t")
    with pytest.raises(CheckpointInvalidError):
        await world.pool.place(MODEL)
    assert not any(server.models for server in world.servers)
    with pytest.raises(UnavailableError, match="unloaded"):
        await world.run()


async def test_a_load_error_at_restoring_does_not_end_the_watch(world: World) -> None:
    await world.pool.place(MODEL)
    server = world.servers[0]
    server.die()
    await world.until(lambda: not world.pool.replicas[0].ready)
    server.load_error, server.up = CheckpointInvalidError("changed"), True
    await world.until(lambda: world.pool.replicas[0].ready)
    # Requests go where the model is.
    assert {await world.run() for _ in range(4)} == {"unet-1"}
    server.die()
    await world.until(lambda: not world.pool.replicas[0].ready)
    server.load_error, server.up = None, True
    await world.until(lambda: "x.unet" in server.models)


async def test_a_replica_that_dies_in_placing_does_not_fail_it(world: World) -> None:
    world.servers[0].up = False  # unnoticed as yet
    world.pool.replicas[0].mark(ready=True)
    await world.pool.place(MODEL)
    assert world.servers[1].models == {"x.unet"}


async def test_placing_where_nobody_is_up(world: World) -> None:
    for server in world.servers:
        server.die()
    await world.until(lambda: world.pool.count_ready("unet") == 0)
    with pytest.raises(UnavailableError, match="no unet replica is up"):
        await world.pool.place(MODEL)


async def test_what_was_unloaded_while_a_replica_was_away_goes_when_it_is_back(world: World) -> None:
    await world.pool.place(MODEL)
    world.servers[0].up = False  # only the network: it keeps its models
    await world.until(lambda: not world.pool.replicas[0].ready)
    await asyncio.wait_for(world.pool.withdraw(MODEL), 5)
    assert world.servers[0].models == {"x.unet"}
    world.servers[0].up = True
    await world.until(lambda: not world.servers[0].models)


async def test_a_cancelled_caller_leaves_its_call_to_finish(world: World) -> None:
    await world.pool.place(MODEL)
    world.servers[0].go.clear()
    task = asyncio.create_task(world.run(world.pool.replicas[0]))
    await world.until(lambda: world.servers[0].calls == 1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() and world.pool.replicas[0].load == 1
    world.servers[0].go.set()
    await world.until(lambda: world.servers[0].finished == 1)
    await world.until(lambda: world.pool.replicas[0].load == 0)


async def test_the_least_busy_replica_is_chosen(world: World) -> None:
    await world.pool.place(MODEL)
    world.pool.replicas[0].loops = 2
    assert await world.run() == "unet-1"
    world.pool.replicas[1].loops = 3
    assert await world.run() == "unet-0"


async def test_a_load_given_up_is_unloaded_once_it_has_ended(world: World) -> None:
    replica, server = world.pool.replicas[0], world.servers[0]
    server.go.clear()
    task = asyncio.create_task(replica.ensure(MODEL))
    await world.until(lambda: replica.load)
    task.cancel()
    # Its export may begin only later.
    await world.until(lambda: server.changes == ["stop"] * 3)
    server.go.set()
    await asyncio.wait([task])
    assert task.cancelled() and server.changes == ["stop"] * 3 + ["loaded", "unload"]
    assert not server.models and not replica.held


async def test_a_load_given_up_ends_with_its_server(world: World) -> None:
    replica, server = world.pool.replicas[0], world.servers[0]
    server.go.clear()
    task = asyncio.create_task(replica.ensure(MODEL))
    await world.until(lambda: replica.load)
    task.cancel()
    await world.until(lambda: "stop" in server.changes)
    server.up = False
    await asyncio.wait_for(asyncio.wait([task]), 10)
    assert task.cancelled() and not replica.held
