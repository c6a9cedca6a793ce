"""Loads, unloads and names of one checkpoint that meet, with a pool that can be held."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from triptych.errors import (
    AlreadyExistsError,
    CheckpointInvalidError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
)
from triptych_orchestrator.catalog import Catalog, Entry, State
from triptych_orchestrator.replicas import PlacedModel
from triptych_orchestrator.settings import Settings

FIRST, SECOND = Path("/checkpoints/first"), Path("/checkpoints/second")


@pytest.fixture(autouse=True)
def sound_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every directory is sound."""
    monkeypatch.setattr(Entry, "open", lambda entry: setattr(entry, "checkpoint", object()))


class Pool:
    """Holds what is placed; `go` lets placing go on, `fail` makes it fail."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.placed = 0
        self.go = asyncio.Event()
        self.go.set()
        self.fail: Exception | None = None

    async def place(self, model: PlacedModel) -> None:
        await self.go.wait()
        if self.fail:
            raise self.fail
        self.held.add(model.name)
        self.placed += 1

    async def withdraw(self, model: PlacedModel) -> None:
        await asyncio.sleep(0)
        self.held.discard(model.name)


def catalog(pool: Pool, folder: Path) -> Catalog:
    return Catalog(Settings("x:1", None, {}, folder), pool)  # type: ignore[arg-type]


@pytest.fixture
async def pool() -> Pool:
    return Pool()


@pytest.fixture
async def entry(pool: Pool, tmp_path: Path) -> tuple[Catalog, Entry]:
    one = catalog(pool, tmp_path)
    return one, await one.register("x", FIRST)


async def use(one: Catalog, entry: Entry, release: asyncio.Event) -> None:
    async with one.use(entry):
        await release.wait()


async def settle() -> None:
    await asyncio.sleep(0.1)


async def test_a_request_that_leaves_does_not_take_the_load_of_others_along(
    pool: Pool, entry: tuple[Catalog, Entry]
) -> None:
    one, known = entry
    pool.go.clear()
    release = asyncio.Event()
    first, second = (asyncio.create_task(use(one, known, release)) for _ in range(2))
    await settle()
    first.cancel()
    await asyncio.wait([first])
    pool.go.set()
    release.set()
    await asyncio.wait_for(second, 10)
    assert (known.state, known.users, pool.placed) == (State.LOADED, 0, 3)


async def test_a_failed_load_is_said_and_can_be_tried_again(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, known = entry
    pool.fail = CheckpointInvalidError("lacks a tensor", tensor="t")
    with pytest.raises(CheckpointInvalidError):
        await one.load("x")
    assert (known.state, known.error, pool.held) == (State.FAILED, "lacks a tensor", set())
    await one.unload("x")
    pool.fail = UnavailableError("no unet replica is up")
    with pytest.raises(UnavailableError):
        await one.load("x")
    pool.fail = None
    await one.load("x")
    assert (known.state, known.error, len(pool.held)) == (State.LOADED, "", 3)


async def test_unregistering_twice_at_once(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, _ = entry
    await one.load("x")
    outcomes = await asyncio.gather(one.unregister("x"), one.unregister("x"), return_exceptions=True)
    assert outcomes[0] is None and isinstance(outcomes[1], NotFoundError)
    assert not pool.held and not one.entries()


async def test_what_waits_while_it_is_unregistered_hears_of_it(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, known = entry
    release = asyncio.Event()
    running = asyncio.create_task(use(one, known, release))
    await settle()
    ending = asyncio.create_task(one.unregister("x"))
    await settle()
    assert known.state is State.UNLOADING
    waiting = [asyncio.create_task(use(one, known, release)), asyncio.create_task(one.load("x"))]
    await settle()
    assert not ending.done()
    release.set()
    await asyncio.wait_for(asyncio.gather(running, ending), 10)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotFoundError] * 2 and not pool.held


async def test_a_request_that_comes_while_unloading_loads_again(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, known = entry
    release = asyncio.Event()
    running = asyncio.create_task(use(one, known, release))
    await settle()
    unloading = asyncio.create_task(one.unload("x"))
    await settle()
    later = asyncio.create_task(use(one, known, release))
    release.set()
    await asyncio.wait_for(asyncio.gather(running, unloading, later), 10)
    assert (known.state, known.loads, len(pool.held)) == (State.LOADED, 2, 3)


async def test_two_directories_for_one_name_at_once(pool: Pool, tmp_path: Path) -> None:
    one = catalog(pool, tmp_path)
    outcomes = await asyncio.gather(one.register("x", FIRST), one.register("x", SECOND), return_exceptions=True)
    assert sorted(type(outcome) for outcome in outcomes if isinstance(outcome, Exception)) == [AlreadyExistsError]
    same = await asyncio.gather(*(one.register("y", FIRST) for _ in range(3)))
    assert len({id(entry) for entry in same}) == 1


async def test_registering_before_restoring_loses_nothing(pool: Pool, tmp_path: Path) -> None:
    first = catalog(pool, tmp_path)
    await first.register("kept", FIRST)
    await first.load("kept")
    second = catalog(pool, tmp_path)
    await second.register("new", SECOND)
    # Even where it dies before it has restored them.
    third = catalog(pool, tmp_path)
    await third.restore()
    assert {entry.name: entry.state for entry in third.entries()} == {"kept": State.LOADED, "new": State.REGISTERED}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"x": 1}', '{"x": {}}', '{"../x": {"path": "/", "engine": "", "loaded": 1}}']
)
async def test_a_state_file_that_is_broken_is_named(pool: Pool, tmp_path: Path, text: str) -> None:
    (tmp_path / "checkpoints.json").write_text(text)
    with pytest.raises(FailedPreconditionError, match=r"checkpoints\.json"):
        catalog(pool, tmp_path)
    assert (tmp_path / "checkpoints.json").read_text() == text


async def test_the_state_is_whole_at_any_time(pool: Pool, entry: tuple[Catalog, Entry], tmp_path: Path) -> None:
    one, _ = entry
    await one.load("x")
    kept = json.loads((tmp_path / "checkpoints.json").read_text())
    assert kept["x"]["loaded"] is True
    await one.unload("x")
    assert json.loads((tmp_path / "checkpoints.json").read_text())["x"]["loaded"] is False
    await one.unregister("x")
    assert json.loads((tmp_path / "checkpoints.json").read_text()) == {}
    assert not (tmp_path / "checkpoints.new").exists()
