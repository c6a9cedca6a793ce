"""What runs for whom, against the session's stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import Served
from triptych import AsyncClient
from triptych.errors import AlreadyExistsError, CancelledError, InvalidArgumentError
from triptych.sdk.events import Result
from triptych_gateway.caller import Caller
from triptych_gateway.task import Task
from triptych_gateway.tasks import Tasks

ANN, BOB = Caller("ann"), Caller("bob")
SMALL = {"checkpoint": "sd1", "width": 64, "height": 64, "seed": 3}
# Seconds of steps, and none of the tests waits for their end.
ENDLESS = {**SMALL, "num_inference_steps": 200, "width": 256, "height": 256}


@pytest_asyncio.fixture
async def tasks(served: Served) -> AsyncIterator[Tasks]:
    async with AsyncClient(served.stack.address) as client:
        tasks = Tasks(client)
        yield tasks
        await tasks.close()


async def endless(task: Task[Result]) -> Result:
    return await task.generate("a dot", **ENDLESS)  # type: ignore[arg-type]


async def steps(task: Task[Result], at_least: int) -> None:
    async for _ in task.changes():
        if task.step is not None and task.step.step >= at_least:
            return


async def test_a_task_tells_its_state_and_its_value(tasks: Tasks) -> None:
    async def work(task: Task[int]) -> int:
        results = [await task.generate("a dot", **SMALL, num_inference_steps=2) for _ in range(2)]  # type: ignore[arg-type]
        return len({result.files[0] for result in results})

    task = tasks.start(ANN, work, jobs=2)
    seen = [(task.jobs_done, task.step and task.step.step) async for _ in task.changes()]
    assert await task.value() == 1
    assert task.is_done
    assert seen[0] == (0, None)
    assert seen[-1][0] == 2
    assert (1, 1) in seen or (1, 2) in seen


async def test_callers_tasks_are_their_own(tasks: Tasks) -> None:
    first, second = (tasks.start(caller, endless, task_id="same") for caller in (ANN, BOB))
    assert tasks.get(ANN, "same") is first
    assert tasks.of(BOB) == [second]
    with pytest.raises(AlreadyExistsError, match="task_id: same is running"):
        tasks.start(ANN, endless, task_id="same")
    first.cancel()
    with pytest.raises(CancelledError):
        await first.value()
    await steps(second, 1)
    assert not second.is_done


async def test_a_skipped_job_is_followed_by_the_next(tasks: Tasks) -> None:
    async def work(task: Task[Result]) -> Result:
        with pytest.raises(CancelledError, match="skipped"):
            await endless(task)
        return await task.generate("a dot", **SMALL, num_inference_steps=1)  # type: ignore[arg-type]

    task = tasks.start(ANN, work, jobs=2)
    await steps(task, 1)
    task.skip()
    assert len((await task.value()).files) == 1


async def test_who_leaves_cancels_its_work(tasks: Tasks) -> None:
    waiting = asyncio.create_task(tasks.run(ANN, endless))
    await asyncio.sleep(0)  # `run` begins
    (task,) = tasks.of(ANN)
    await steps(task, 1)
    waiting.cancel()
    async for _ in task.changes():
        pass
    assert isinstance(task.error, CancelledError)


async def test_an_error_is_the_works(tasks: Tasks) -> None:
    async def work(task: Task[Result]) -> Result:
        return await task.generate("a dot", checkpoint="sd1", width=63)

    with pytest.raises(InvalidArgumentError, match="width"):
        await tasks.run(ANN, work)
    assert isinstance(tasks.of(ANN)[0].error, InvalidArgumentError)


async def test_one_that_waits_may_let_go_of_what_another_waits_for(tasks: Tasks) -> None:
    running = asyncio.create_task(tasks.run(ANN, endless))
    await asyncio.sleep(0)  # `run` begins
    (task,) = tasks.of(ANN)
    other = asyncio.create_task(task.value())
    await steps(task, 1)
    task.cancel()
    for waiting in (running, other):
        with pytest.raises(CancelledError, match="cancelled"):
            await waiting
