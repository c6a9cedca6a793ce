"""The gate lets concurrent loops' steps go in waves, whoever joins, leaves or is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from triptych_orchestrator.gate import StepGate

FOREVER_S = 3600.0


class Loop:
    """One request's loop: `steps` steps through the gate, each lasting until every wave is due."""

    def __init__(self, gate: StepGate, waves: list[set[str]], name: str) -> None:
        self.gate = gate
        self.waves = waves
        self.name = name
        gate.join()

    async def run(self, steps: int) -> None:
        try:
            for _ in range(steps):
                async with self.gate.step():
                    if not self.waves or self.waves[-1] & {self.name} or self.gate._running == 0:
                        self.waves.append(set())
                    self.waves[-1].add(self.name)
                    await asyncio.sleep(0.001)
        finally:
            self.gate.leave()


async def test_one_alone_never_waits() -> None:
    gate = StepGate(linger_s=FOREVER_S)
    await asyncio.wait_for(Loop(gate, [], "a").run(100), 10)
    assert gate.idle


async def test_loops_alike_go_in_lockstep() -> None:
    gate = StepGate(linger_s=FOREVER_S)
    waves: list[set[str]] = []
    loops = [Loop(gate, waves, name) for name in "abc"]
    await asyncio.wait_for(asyncio.gather(*(loop.run(20) for loop in loops)), 10)
    assert waves == [{"a", "b", "c"}] * 20
    assert gate.idle


async def test_loops_of_different_lengths_end() -> None:
    gate = StepGate(linger_s=FOREVER_S)
    loops = [Loop(gate, [], name) for name in "abcd"]
    await asyncio.wait_for(asyncio.gather(*(loop.run(5 * number) for number, loop in enumerate(loops))), 10)
    assert gate.idle


async def test_a_member_that_tarries_holds_nobody_up_for_long() -> None:
    gate = StepGate(linger_s=0.01)
    gate.join()  # and sends nothing
    await asyncio.wait_for(Loop(gate, [], "a").run(5), 10)
    gate.leave()
    assert gate.idle


@pytest.mark.parametrize("moments", range(1, 12))
async def test_a_cancelled_step_leaves_nothing_behind(moments: int) -> None:
    """Cancelled at every point of its way: before its wave, as the wave starts, inside of it."""
    gate = StepGate(linger_s=0.005)
    doomed = asyncio.create_task(Loop(gate, [], "doomed").run(1_000))
    other = asyncio.create_task(Loop(gate, [], "other").run(30))
    for _ in range(moments):
        await asyncio.sleep(0 if moments % 2 else 0.0007)
    doomed.cancel()
    await asyncio.wait([doomed])
    await asyncio.wait_for(other, 10)
    assert doomed.cancelled() and gate.idle and gate._running == 0 and not gate._waiting


async def test_a_wave_that_starts_in_the_moment_of_a_cancel() -> None:
    gate = StepGate(linger_s=FOREVER_S)
    gate.join()
    gate.join()

    async def step() -> None:
        async with gate.step():
            await asyncio.sleep(0)

    first = asyncio.create_task(step())
    await asyncio.sleep(0)
    gate.leave()  # the other leaves: the wave starts, and in the same moment
    first.cancel()
    await asyncio.wait([first])
    assert gate._running == 0
    await asyncio.wait_for(step(), 1)
    gate.leave()
    assert gate.idle


async def test_a_step_that_fails_ends_its_wave() -> None:
    gate = StepGate(linger_s=FOREVER_S)
    gate.join()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with gate.step():
                raise ZeroDivisionError
    gate.leave()
    assert gate.idle
