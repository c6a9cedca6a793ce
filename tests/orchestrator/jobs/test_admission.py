"""Places, queues and cancellation, without a server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable

import pytest

from triptych.errors import (
    AlreadyExistsError,
    CancelledError,
    DeadlineExceededError,
    NotFoundError,
    ResourceExhaustedError,
    ServerStoppingError,
)
from triptych_orchestrator.jobs.admission import Admission
from triptych_orchestrator.jobs.caller import Caller, RequestKey
from triptych_orchestrator.settings import Limits

pytestmark = pytest.mark.fast_clock

ME = Caller.of([], "ipv4:127.0.0.1:1")


def own(request_id: str) -> RequestKey:
    return ME.new_key(request_id)


class Events:
    """A request's events; notes how it ended."""

    def __init__(self, count: int = 3, *, hang_at: int = -1) -> None:
        self.count = count
        self.hang_at = hang_at
        self.ended = ""

    async def stream(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self.count):
                if number == self.hang_at:
                    await asyncio.sleep(3600)
                yield number
            self.ended = "done"
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        except GeneratorExit:
            self.ended = "closed"
            raise


def admission(running: int = 1, queued: int = 1) -> Admission:
    return Admission(Limits(max_concurrent_requests=running, max_queued_requests=queued))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # a state of the code under test, not of the test's
        await asyncio.sleep(0.001)


async def collect(stream: AsyncGenerator[int, None]) -> list[int]:
    return [event async for event in stream]


async def test_events_pass() -> None:
    gate, events = admission(), Events()
    assert await collect(gate.stream(own("a"), events.stream())) == [0, 1, 2]
    assert events.ended == "done"
    assert await collect(gate.stream(own("a"), Events(0).stream())) == []


async def test_cancel_while_an_event_is_made() -> None:
    gate, events = admission(), Events(hang_at=1)
    task = asyncio.create_task(collect(gate.stream(own("a"), events.stream())))
    await asyncio.sleep(0.01)
    gate.cancel("a", ME)
    gate.cancel("a", ME)
    with pytest.raises(CancelledError, match="request a was cancelled"):
        await task
    assert events.ended == "cancelled" and not task.cancelling()
    with pytest.raises(NotFoundError):
        gate.cancel("a", ME)


async def test_cancel_while_the_reader_is_slow() -> None:
    gate, events = admission(), Events(hang_at=2)
    stream = gate.stream(own("a"), events.stream())
    assert await anext(stream) == 0
    gate.cancel("a", ME)
    # Nobody has come back for more, and nothing works for it any more.
    await asyncio.wait_for(until(lambda: events.ended == "cancelled"), 5)
    with pytest.raises(CancelledError):
        await collect(stream)
    with pytest.raises(NotFoundError):
        gate.cancel("a", ME)


async def test_the_reader_goes_away() -> None:
    gate, events = admission(), Events(hang_at=1)
    task = asyncio.create_task(collect(gate.stream(own("a"), events.stream())))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events.ended == "cancelled"
    stream = gate.stream(own("a"), (events := Events(hang_at=1)).stream())
    await anext(stream)
    await stream.aclose()
    assert events.ended == "cancelled"
    with pytest.raises(NotFoundError):
        gate.cancel("a", ME)


async def test_an_id_twice() -> None:
    gate = admission()
    first = gate.stream(own("a"), Events().stream())
    await anext(first)
    with pytest.raises(AlreadyExistsError):
        await anext(gate.stream(own("a"), Events().stream()))
    assert await collect(first) == [1, 2]


async def test_failures_pass() -> None:
    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await collect(admission().stream(own("a"), failing()))


async def hold(gate: Admission, release: asyncio.Event, order: list[str], name: str) -> float:
    async with gate.turn() as waited_s:
        order.append(name)
        await release.wait()
        return waited_s


async def test_turns_are_taken_in_order_and_a_full_queue_refuses() -> None:
    gate, release, order = admission(1, 2), asyncio.Event(), list[str]()
    tasks = [asyncio.create_task(hold(gate, release, order, name)) for name in "abc"]
    await asyncio.sleep(0.01)
    assert order == ["a"]
    with pytest.raises(ResourceExhaustedError, match="1 requests are running and 2 waiting"):
        await hold(gate, release, order, "d")
    release.set()
    waits = await asyncio.gather(*tasks)
    assert order == ["a", "b", "c"] and waits[0] == 0 and waits[1] == pytest.approx(0.01)


@pytest.mark.parametrize("delay_s", [0.0, 0.005])
async def test_one_cancelled_while_waiting_gives_its_place_back(delay_s: float) -> None:
    gate, release, order = admission(1, 1), asyncio.Event(), list[str]()
    first = asyncio.create_task(hold(gate, release, order, "a"))
    await asyncio.sleep(0)
    second = asyncio.create_task(hold(gate, release, order, "b"))
    await asyncio.sleep(delay_s)
    second.cancel()
    await asyncio.wait([second])
    third = asyncio.create_task(hold(gate, release, order, "c"))
    await asyncio.sleep(0)
    # In the moment of its turn, too.
    release.set()
    third.cancel()
    await asyncio.wait([first, third])
    await asyncio.wait_for(hold(gate, release, order, "d"), 1)
    assert order[-1] == "d" and gate._free == 1


async def test_no_queue_at_all() -> None:
    gate, release = admission(1, 0), asyncio.Event()
    gate.check_room()
    task = asyncio.create_task(hold(gate, release, [], "a"))
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhaustedError):
        gate.check_room()
    release.set()
    await task
    gate.check_room()


async def test_who_prepares_is_counted_among_those_who_wait() -> None:
    gate = admission(running=2, queued=1)
    with gate.preparing(), gate.preparing():
        async with gate.turn():
            with pytest.raises(ResourceExhaustedError, match="1 requests are running and 2 waiting"), gate.preparing():
                raise AssertionError("not reached")
            with pytest.raises(ResourceExhaustedError):
                gate.check_room()
        gate.check_room()
    assert gate._free == 2 and not gate._waiting


async def test_the_highest_priority_goes_first() -> None:
    gate, order = admission(queued=10), []

    async def request(name: str, priority: int) -> None:
        async with gate.turn(priority):
            order.append(name)
            await asyncio.sleep(0.001)

    asked = {"running": 0, "low": -1, "first": 0, "second": 0, "high": 5}
    await asyncio.gather(*(request(name, priority) for name, priority in asked.items()))
    assert order == ["running", "high", "first", "second", "low"]


@pytest.mark.parametrize("moments", range(6))
async def test_one_that_leaves_the_queue_loses_no_place(moments: int) -> None:
    gate = admission(queued=10)

    async def request(seconds: float) -> None:
        async with gate.turn():
            await asyncio.sleep(seconds)

    first, doomed, last = (asyncio.create_task(request(0.0005)) for _ in range(3))
    for _ in range(moments):
        await asyncio.sleep(0.0002)
    doomed.cancel()
    await asyncio.wait_for(asyncio.gather(first, last), 5)
    await asyncio.wait([doomed])
    await asyncio.wait_for(request(0), 5)
    assert gate._free == 1 and not gate._waiting


async def test_cancelled_ones_do_not_stay_in_the_queue() -> None:
    gate, order = admission(queued=1_000), list[str]()
    running, waiting = asyncio.Event(), asyncio.Event()
    waiting.set()
    first = asyncio.create_task(hold(gate, running, order, "first"))
    await asyncio.sleep(0)
    doomed = [asyncio.create_task(hold(gate, waiting, order, "doomed")) for _ in range(500)]
    last = asyncio.create_task(hold(gate, waiting, order, "last"))
    await until(lambda: len(gate._queue) == 501)
    for task in doomed:
        task.cancel()
    await asyncio.wait(doomed)
    assert len(gate._queue) == 1
    running.set()
    await asyncio.wait_for(asyncio.gather(first, last), 5)
    assert order == ["first", "last"] and not gate._queue and gate._free == 1


async def test_a_full_queue_says_when_to_try_again() -> None:
    gate = admission(running=1, queued=0)
    gate._note(8.0)
    async with gate.turn():
        with pytest.raises(ResourceExhaustedError, match="try again in 8 s") as raised:
            gate.check_room()
    assert raised.value.metadata == {"retry_after_seconds": "8"}


async def test_a_deadline_stops_a_request_where_it_is() -> None:
    gate, events = admission(), Events(hang_at=1)
    deadline_s = asyncio.get_running_loop().time() + 0.02
    got = []
    with pytest.raises(DeadlineExceededError, match="request a"):
        async for event in gate.stream(own("a"), events.stream(), deadline_s):
            got.append(event)
    assert got == [0] and events.ended == "cancelled"


async def test_a_place_is_free_when_the_work_is_done_though_nobody_reads() -> None:
    gate = admission(running=1, queued=0)

    async def events() -> AsyncGenerator[int, None]:
        async with gate.turn():
            for number in range(9):
                yield number
                await asyncio.sleep(0)

    first, second = gate.stream(own("a"), events()), gate.stream(own("b"), events())
    assert await anext(first) == 0
    await asyncio.wait_for(until(lambda: gate._free == 1), 5)
    assert await anext(second) == 0
    assert [event async for event in first] == [event async for event in second] == list(range(1, 9))


async def test_what_is_unread_is_thinned_out() -> None:
    def keep_the_latest(events: deque[int]) -> None:
        while len(events) > 2:
            events.popleft()

    events = Events(9)
    stream = admission().stream(own("a"), events.stream(), thin_out=keep_the_latest)
    got = [await anext(stream)]
    await asyncio.wait_for(until(lambda: events.ended == "done"), 5)
    assert [*got, *[event async for event in stream]] == [7, 8]


async def test_a_deadline_does_not_take_what_is_done() -> None:
    loop, events = asyncio.get_running_loop(), Events()
    deadline_s = loop.time() + 0.05
    stream = admission().stream(own("a"), events.stream(), deadline_s)
    assert await anext(stream) == 0
    assert events.ended == "done"
    await asyncio.wait_for(until(lambda: loop.time() > deadline_s), 5)
    assert await collect(stream) == [1, 2]


async def test_all_are_stopped_with_one_reason() -> None:
    gate = admission()
    tasks = [asyncio.create_task(collect(gate.stream(own(name), Events(hang_at=1).stream()))) for name in "ab"]
    await asyncio.sleep(0)
    gate.stop_all(ServerStoppingError("the server is stopping"))
    for task in tasks:
        with pytest.raises(ServerStoppingError):
            await task


async def test_what_was_made_before_a_failure_arrives_before_it() -> None:
    async def events() -> AsyncGenerator[int, None]:
        yield 1
        yield 2
        raise ZeroDivisionError

    got = []
    with pytest.raises(ZeroDivisionError):
        async for event in admission().stream(own("a"), events()):
            got.append(event)
    assert got == [1, 2]


@pytest.mark.parametrize("moments", range(6))
async def test_nothing_stays_behind_when_two_ends_meet(moments: int) -> None:
    """It is stopped, and then its caller leaves as well, which is what gRPC's own deadline does."""
    gate = admission()
    task = asyncio.create_task(collect(gate.stream(own("a"), Events(hang_at=1).stream())))
    await asyncio.sleep(0.01)
    gate.cancel("a", ME)
    for _ in range(moments):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() or isinstance(task.exception(), CancelledError)
    with pytest.raises(NotFoundError):
        gate.cancel("a", ME)
    assert await collect(gate.stream(own("a"), Events().stream())) == [0, 1, 2]
