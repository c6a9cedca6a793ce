"""Steps of concurrent loops share batches, whoever joins, leaves, fails or is cancelled."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import numpy as np
import pytest

from triptych.contract import Report
from triptych_orchestrator.batching.batcher import StepBatcher, Ticket
from triptych_orchestrator.batching.profile import BatchProfile
from triptych_orchestrator.batching.signature import Signature, dims_of, extents_of
from triptych_orchestrator.stages.triton import Tensors

pytestmark = pytest.mark.fast_clock

FOREVER_S = 3600.0


def signature(size: int, lora: int = 0, tokens: int = 77) -> Signature:
    """Of samples with square latents."""
    sample = {"latents": np.empty((4, size, size), np.float32), "states": np.empty((tokens, 5), np.float32)}
    return Signature(extents_of(sample), bytes([lora]) * 16)


SMALL, LARGE = signature(8), signature(16)


def shape(group: Signature) -> tuple[int, ...]:
    return dims_of(group.extents, "latents")


class Engine:
    """Doubles its latents; notes every batch, its samples and the requests in it."""

    def __init__(self, seconds: float = 0.001, refit_seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.refit_seconds = refit_seconds
        self.batches: list[tuple[str, int]] = []
        self.tensors: list[Tensors] = []
        self.failure: Exception | None = None
        self.running = self.most_running = 0

    async def call(self, tensors: Tensors, ids: str) -> Tensors:
        count = len(tensors["latents"])
        self.batches.append((ids, count))
        self.tensors.append(tensors)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(self.seconds)
        self.running -= 1
        if self.failure:
            raise self.failure
        report = np.tile(np.array(Report(self.seconds, count, self.refit_seconds), np.float32), (count, 1))
        return {"noise_pred": tensors["latents"] * 2, "report": report}


def step(value: float, samples: int = 2, group: Signature = SMALL, **brought: Any) -> Tensors:
    return {"latents": np.full((samples, *shape(group)), value, np.float32), **brought}


async def loop(
    batcher: StepBatcher,
    name: str,
    steps: int,
    group: Signature = SMALL,
    samples: int = 2,
    priority: int = 0,
    pause_s: float = 0.0,
) -> None:
    """One request's loop, which checks that every answer is its own."""
    batcher.join(group)
    try:
        for index in range(steps):
            value = hash((name, index)) % 1000
            outputs = await batcher.run(group, step(value, samples, group), Ticket(name, priority))
            assert outputs["noise_pred"].shape == (samples, *shape(group))
            assert (outputs["noise_pred"] == 2 * value).all()
            await asyncio.sleep(pause_s)
    finally:
        batcher.leave(group)


async def at_once(*loops: Any) -> None:
    await asyncio.wait_for(asyncio.gather(*loops), 20)


async def test_one_alone_never_waits() -> None:
    engine = Engine()
    batcher = StepBatcher(engine.call, BatchProfile(16), linger_s=FOREVER_S)
    await at_once(loop(batcher, "a", 50))
    assert engine.batches == [("a", 2)] * 50 and batcher.idle


async def test_loops_alike_share_every_batch() -> None:
    engine = Engine()
    batcher = StepBatcher(engine.call, BatchProfile(16), linger_s=FOREVER_S)
    await at_once(*(loop(batcher, name, 20) for name in "abc"))
    # The first comes before it can know of the others, and is done one step before them.
    assert engine.batches[0] == ("a", 2) and engine.batches[-1] == ("b,c", 4)
    assert all(sorted(ids) == sorted("a,b,c") and samples == 6 for ids, samples in engine.batches[1:-1])
    assert batcher.idle


async def test_loops_that_start_apart_come_together() -> None:
    """The second comes while the first's step runs; between two steps a loop has something to do."""
    engine = Engine(0.01)
    batcher = StepBatcher(engine.call, BatchProfile(16), linger_s=0.2)

    async def begin(name: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await loop(batcher, name, 20, pause_s=0.002)

    await at_once(begin("a", 0.0), begin("b", 0.005), begin("c", 0.015))
    assert sum(samples == 6 for _, samples in engine.batches) >= 17


async def test_loops_of_different_lengths_and_sizes_end() -> None:
    engine = Engine()
    batcher = StepBatcher(engine.call, BatchProfile(16), linger_s=FOREVER_S)
    loops = [loop(batcher, f"{n}", 5 * n, group, 1 + n % 3) for n in range(1, 6) for group in (SMALL, LARGE)]
    await at_once(*loops)
    assert batcher.idle


async def test_no_batch_is_larger_than_allowed() -> None:
    engine = Engine()
    batcher = StepBatcher(engine.call, BatchProfile(4), linger_s=FOREVER_S)
    await at_once(
        *(loop(batcher, f"{n}", 10, samples=1 + n % 2) for n in range(7)), loop(batcher, "large", 3, samples=9)
    )
    assert {samples for ids, samples in engine.batches if ids != "large"} <= {1, 2, 3, 4}
    assert ("large", 9) in engine.batches


async def test_a_member_that_tarries_holds_nobody_up_for_long() -> None:
    batcher = StepBatcher(Engine().call, BatchProfile(16), linger_s=0.01)
    batcher.join(SMALL)  # and sends nothing
    await at_once(loop(batcher, "a", 5))
    batcher.leave(SMALL)
    assert batcher.idle


async def test_what_steps_bring_keeps_them_apart() -> None:
    engine = Engine()
    batcher = StepBatcher(engine.call, BatchProfile(16), linger_s=FOREVER_S)
    for _ in range(4):
        batcher.join(SMALL)
    states = {"encoder_hidden_states": np.ones((2, 3, 5), np.float32)}
    content = np.array([[b"set"], [b""]], np.object_)
    await at_once(
        batcher.run(SMALL, step(1, **states), Ticket("a")),
        batcher.run(SMALL, step(2), Ticket("b")),
        batcher.run(SMALL, step(3, **states), Ticket("c")),
        batcher.run(SMALL, step(4, loras=content), Ticket("d")),
    )
    assert sorted(engine.batches) == [("a,c", 4), ("b,d", 4)]
    brought = {ids: tensors for (ids, _), tensors in zip(engine.batches, engine.tensors, strict=True)}
    assert brought["a,c"]["encoder_hidden_states"].shape == (4, 3, 5)
    assert brought["b,d"]["loras"].ravel().tolist() == [b"set", b"", b"", b""]


async def test_conditionings_of_unlike_length_never_meet() -> None:
    """Whether they come along or are named alone: the replica puts those that it keeps into the batch."""
    engine = Engine()
    batcher = StepBatcher(engine.call, BatchProfile(16), linger_s=FOREVER_S)
    short, long = signature(8, tokens=77), signature(8, tokens=154)
    for group in (short, short, long, long):
        batcher.join(group)
    await at_once(
        batcher.run(short, step(1, states=np.ones((2, 77, 5))), Ticket("short brought")),
        batcher.run(long, step(2, states=np.ones((2, 154, 5))), Ticket("long brought")),
        batcher.run(short, step(3), Ticket("short")),
        batcher.run(long, step(4), Ticket("long")),
    )
    assert sorted(ids for ids, _ in engine.batches) == ["long", "long brought", "short", "short brought"]
    await at_once(
        *(batcher.run(short, step(n), Ticket(f"short {n}")) for n in range(2)),
        *(batcher.run(long, step(n), Ticket(f"long {n}")) for n in range(2)),
    )
    assert sorted(ids for ids, _ in engine.batches[4:]) == ["long 0,long 1", "short 0,short 1"]


async def test_two_groups_keep_the_engine_busy() -> None:
    """The next group's batch is on its way while one runs, and never a third."""
    engine = Engine()
    batcher = StepBatcher(engine.call, BatchProfile(16))
    groups = [signature(size) for size in (8, 9, 10)]
    await at_once(*(loop(batcher, str(shape(group)), 10, group) for group in groups))
    assert engine.most_running == 2


async def test_the_urgent_go_first() -> None:
    engine = Engine(0.005)
    batcher = StepBatcher(engine.call, BatchProfile(16))
    groups = [signature(size) for size in range(8, 13)]
    for group in groups:
        batcher.join(group)
    tickets = [Ticket("0"), Ticket("1"), Ticket("late"), Ticket("soon", deadline_s=5.0), Ticket("first", priority=1)]
    await at_once(*(batcher.run(g, step(1, group=g), t) for g, t in zip(groups, tickets, strict=True)))
    # Two are sent at once; of those that waited the urgent ones follow.
    assert [ids for ids, _ in engine.batches] == ["0", "1", "first", "soon", "late"]


@pytest.mark.parametrize(("refit_seconds", "exchanges"), [(0.0, 20), (0.002, 8)])
async def test_costly_exchanges_are_made_less_often(refit_seconds: float, exchanges: int) -> None:
    engine = Engine(0.004, refit_seconds)
    batcher = StepBatcher(engine.call, BatchProfile(16))
    sets = [signature(8, key) for key in (1, 2)]
    await at_once(*(loop(batcher, f"{n}", 20, group) for n, group in enumerate(sets)))
    order = [ids for ids, _ in engine.batches]
    changes = sum(a != b for a, b in itertools.pairwise(order))
    assert len(order) == 40
    assert changes >= exchanges if refit_seconds == 0 else 1 <= changes <= exchanges


async def test_a_failure_is_everybodys_in_the_batch_and_over_after_it() -> None:
    engine = Engine()
    engine.failure = ZeroDivisionError()
    batcher = StepBatcher(engine.call, BatchProfile(16), linger_s=FOREVER_S)
    batcher.join(SMALL)
    batcher.join(SMALL)
    steps = [asyncio.create_task(batcher.run(SMALL, step(1), Ticket(name))) for name in "ab"]
    await asyncio.wait(steps)
    assert all(isinstance(task.exception(), ZeroDivisionError) for task in steps)
    engine.failure = None
    batcher.leave(SMALL)
    batcher.leave(SMALL)
    await at_once(loop(batcher, "c", 3))
    assert batcher.idle


@pytest.mark.parametrize("moments", range(1, 12))
async def test_a_cancelled_step_leaves_nothing_behind(moments: int) -> None:
    """Cancelled at every point of its way: before its wave, as the wave starts, inside of it."""
    batcher = StepBatcher(Engine().call, BatchProfile(16), linger_s=0.005)
    doomed = asyncio.create_task(loop(batcher, "doomed", 1_000))
    other = asyncio.create_task(loop(batcher, "other", 30))
    for _ in range(moments):
        await asyncio.sleep(0 if moments % 2 else 0.0007)
    doomed.cancel()
    await asyncio.wait([doomed])
    await asyncio.wait_for(other, 10)
    await asyncio.sleep(0.01)  # the batch that the doomed one left is let finish
    assert doomed.cancelled() and batcher.idle and not batcher._running and not batcher._groups


async def test_an_answer_without_what_it_should_have_fails_every_step() -> None:
    async def call(tensors: Tensors, ids: str) -> Tensors:
        return {"noise_pred": tensors["latents"]}

    batcher = StepBatcher(call, BatchProfile(16))
    with pytest.raises(KeyError):
        await at_once(loop(batcher, "a", 1))
    assert batcher.idle
