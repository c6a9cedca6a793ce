"""Loads, unloads and names of one checkpoint that meet, with a pool that can be held."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from tests.e2e.serving import wait_for
from triptych.errors import (
    AlreadyExistsError,
    CheckpointInvalidError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from triptych_orchestrator.catalog import Catalog, Entry, State
from triptych_orchestrator.replicas import PlacedModel
from triptych_orchestrator.settings import Limits, Settings

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


async def test_a_load_ends_with_the_last_who_wants_it(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, known = entry
    pool.go.clear()
    release = asyncio.Event()
    callers = [asyncio.create_task(call) for call in (use(one, known, release), one.load("x"), one.load("x"))]
    await settle()
    for caller in callers[:2]:
        caller.cancel()
    await settle()
    assert known.state is State.LOADING
    callers[2].cancel()
    await asyncio.wait(callers)
    async with known.lock:  # which the load has let go of
        assert (known.state, known.error, pool.held) == (State.REGISTERED, "", set())
    pool.go.set()
    await one.load("x")
    assert (known.state, len(pool.held)) == (State.LOADED, 3)


async def test_unregistering_does_not_wait_for_a_load(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, known = entry
    pool.go.clear()
    release = asyncio.Event()
    callers = [asyncio.create_task(call) for call in (use(one, known, release), one.load("x"))]
    await settle()
    await asyncio.wait_for(one.unregister("x"), 10)
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotFoundError] * 2
    assert not pool.held and not one.entries()
    # The name is free, also for another directory.
    pool.go.set()
    await one.register("x", SECOND)
    await one.load("x")
    assert len(pool.held) == 3


async def test_directories_that_cannot_be_read_keep_nobody_else_waiting(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(Entry, "open", lambda entry: go.wait(60))
    limits = Limits(max_checkpoint_read_seconds=1)
    one = Catalog(Settings("x:1", None, {}, tmp_path, limits=limits), pool)  # type: ignore[arg-type]
    try:
        outcomes = await asyncio.gather(
            *(one.register(f"x{number}", FIRST) for number in range(40)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {FailedPreconditionError}
        assert "could not be read within 1 s" in str(outcomes[0])
        # The threads that everything else uses are free.
        await asyncio.wait_for(asyncio.to_thread(lambda: None), 10)
        assert threading.active_count() < 40 and not one.entries()
    finally:
        go.set()
    await one.register("x", FIRST)


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


KEPT = {"path": "/checkpoints/first", "engine": "", "loaded": True}


@pytest.mark.parametrize(
    "kept",
    [
        {"x": 1},
        {"x": {}},
        {"../x": KEPT},
        {"x": KEPT | {"path": 7}},
        {"x": KEPT | {"path": "relative"}},
        {"x": KEPT | {"path": "/a\0b"}},
        {"x": KEPT | {"path": "/\ud800"}},
        {"x": KEPT | {"engine": None}},
        {"x": KEPT | {"engine": "no-such"}},
        {"x": KEPT | {"loaded": "yes"}},
        [KEPT],
    ],
)
async def test_a_state_file_that_is_broken_is_set_aside(pool: Pool, tmp_path: Path, kept: object) -> None:
    text = json.dumps(kept | {"sound": KEPT} if isinstance(kept, dict) else kept)
    (tmp_path / "checkpoints.json").write_text(text)
    one = catalog(pool, tmp_path)
    assert (tmp_path / "checkpoints.json.broken-1").read_text() == text
    await one.restore()
    names = ["sound"] if isinstance(kept, dict) else []
    assert [entry.name for entry in one.entries()] == names and len(pool.held) == 3 * len(names)
    await one.register("y", SECOND)
    assert json.loads((tmp_path / "checkpoints.json").read_text()).keys() == {*names, "y"}


async def test_registering_and_loading_fail_whole(pool: Pool, entry: tuple[Catalog, Entry], tmp_path: Path) -> None:
    one, known = entry
    kept = (tmp_path / "checkpoints.json").read_text()
    pool.fail = CheckpointInvalidError("lacks a tensor", tensor="t")
    pool.go.clear()
    adding = asyncio.create_task(one.register("y", SECOND, load=True))
    await asyncio.to_thread(wait_for, lambda: len(one.entries()) == 2, 10)
    assert one.get("y").state is State.LOADING and one.get("") is known  # which nobody need name meanwhile
    again = asyncio.create_task(one.register("y", SECOND, load=True))
    waiting = asyncio.create_task(one.load("y"))
    await settle()
    assert (tmp_path / "checkpoints.json").read_text() == kept  # nor would a crash leave it there
    pool.go.set()
    outcomes = await asyncio.wait_for(asyncio.gather(adding, again, waiting, return_exceptions=True), 10)
    assert [(type(outcome), str(outcome)) for outcome in outcomes] == [(CheckpointInvalidError, "lacks a tensor")] * 3
    assert one.entries() == [known] and one.get("") is known and not pool.held
    assert (tmp_path / "checkpoints.json").read_text() == kept
    pool.fail = None
    assert (await one.register("y", SECOND, load=True)).state is State.LOADED
    assert json.loads((tmp_path / "checkpoints.json").read_text())["y"]["loaded"] is True


async def test_who_leaves_while_registering_and_loading_leaves_nothing(
    pool: Pool, entry: tuple[Catalog, Entry], tmp_path: Path
) -> None:
    one, known = entry
    kept = (tmp_path / "checkpoints.json").read_text()
    pool.go.clear()
    adding = asyncio.create_task(one.register("y", SECOND, load=True))
    await asyncio.to_thread(wait_for, lambda: len(one.entries()) == 2, 10)
    others = [asyncio.create_task(work) for work in (one.register("y", SECOND), one.load("y"))]
    await settle()
    adding.cancel()
    outcomes = await asyncio.wait_for(asyncio.gather(adding, *others, return_exceptions=True), 10)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, NotFoundError, NotFoundError]
    assert all("'y' could not be loaded and is not registered: whoever asked" in str(each) for each in outcomes[1:])
    assert one.entries() == [known] and not pool.held
    assert (tmp_path / "checkpoints.json").read_text() == kept


async def test_a_known_checkpoint_that_fails_to_load_stays(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, known = entry
    pool.fail = CheckpointInvalidError("lacks a tensor", tensor="t")
    with pytest.raises(CheckpointInvalidError):
        await one.register("x", FIRST, load=True)
    assert one.entries() == [known] and known.state is State.FAILED


async def test_a_broken_one_comes_back_if_its_successor_fails(pool: Pool, tmp_path: Path) -> None:
    one = catalog(pool, tmp_path)
    broken = await one.register("x", FIRST)
    broken.checkpoint = None
    pool.fail = CheckpointInvalidError("lacks a tensor", tensor="t")
    with pytest.raises(CheckpointInvalidError):
        await one.register("x", SECOND, load=True)
    assert one.get("x") is broken


async def test_without_a_name_the_only_one_that_can_be_used_is_meant(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, known = entry
    pool.fail = CheckpointInvalidError("lacks a tensor", tensor="t")
    with pytest.raises(CheckpointInvalidError):
        await one.load("x")
    assert one.get("") is known  # whose error says what is wrong
    pool.fail = None
    second = await one.register("y", SECOND)
    assert one.get("") is second
    await one.load("x")
    with pytest.raises(InvalidArgumentError, match="name one of those registered: x, y"):
        one.get("")


async def test_what_cannot_be_written_down_is_not_registered(
    pool: Pool, entry: tuple[Catalog, Entry], tmp_path: Path
) -> None:
    one, known = entry
    (tmp_path / "checkpoints.new").mkdir()
    for load in (False, True):
        with pytest.raises(FailedPreconditionError, match=r"checkpoints\.json cannot be written"):
            await one.register("y", SECOND, load=load)
        assert one.entries() == [known] and not pool.held


async def test_names_have_a_limit(pool: Pool, tmp_path: Path) -> None:
    limits = Limits(max_checkpoints=1)
    one = Catalog(Settings("x:1", None, {}, tmp_path, limits=limits), pool)  # type: ignore[arg-type]
    await one.register("x", FIRST)
    with pytest.raises(ResourceExhaustedError, match="1 checkpoints are all that max_checkpoints allows"):
        await one.register("y", SECOND)
    await one.register("x", FIRST, "torch")
    await one.unregister("x")
    await one.register("y", SECOND)


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


@pytest.mark.parametrize("engine", ["", "torch"])
async def test_a_transient_checkpoint_is_kept_once_it_is_registered_again(
    pool: Pool, tmp_path: Path, engine: str
) -> None:
    one = catalog(pool, tmp_path)
    await one.register("x", FIRST, is_transient=True)
    await one.load("x")
    assert json.loads((tmp_path / "checkpoints.json").read_text()) == {}
    await one.register("x", FIRST, engine)
    kept = {"path": str(FIRST), "engine": engine, "loaded": True}
    assert json.loads((tmp_path / "checkpoints.json").read_text()) == {"x": kept}


async def test_a_switch_loads_the_new_engines_first_and_drops_the_old_when_unused(
    pool: Pool, entry: tuple[Catalog, Entry]
) -> None:
    one, old = entry
    await one.load("x")
    release = asyncio.Event()
    running = asyncio.create_task(use(one, old, release))
    await settle()
    pool.go.clear()
    switching = asyncio.create_task(one.register("x", FIRST, "torch"))
    await settle()
    # Until the new ones are there, the old ones serve.
    async with one.use(old) as used:
        assert used is old
    pool.go.set()
    await settle()
    assert len(pool.held) == 6 and not switching.done()
    # Who found the old entry and begins only now gets the new one.
    async with one.use(old) as used:
        assert used.engine == "torch" and used is one.get("x") and used is not old
    release.set()
    await asyncio.wait_for(asyncio.gather(running, switching), 10)
    assert pool.held == {"x~.encoder", "x~.unet", "x~.vae_decoder"}
    assert {model.parameters["engine"] for model in one.get("x").models().values()} == {"torch"}
    await one.register("x", FIRST, "unet=torch")
    assert pool.held == {"x.encoder", "x.unet", "x.vae_decoder"}
    assert {name: model.parameters["engine"] for name, model in one.get("x").models().items()} == {
        "encoder": "",
        "unet": "torch",
        "vae_decoder": "",
    }


async def test_a_switch_that_fails_changes_nothing(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, known = entry
    await one.load("x")
    held = set(pool.held)
    pool.fail = FailedPreconditionError("there is no torch")
    with pytest.raises(FailedPreconditionError):
        await one.register("x", FIRST, "torch")
    assert (one.get("x"), known.state, known.engine, pool.held) == (known, State.LOADED, "", held)


async def test_what_comes_during_a_switch_meets_the_new_engines(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, _ = entry
    await one.load("x")
    pool.go.clear()
    tasks: list[asyncio.Task[Entry]] = []
    for call in (one.register("x", FIRST, "torch"), one.register("x", FIRST, "torch"), one.load("x"), one.unload("x")):
        tasks.append(asyncio.create_task(call))
        await settle()
    pool.go.set()
    switched, same, loaded, unloaded = await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert switched is same is loaded is unloaded is one.get("x")
    assert (unloaded.engine, unloaded.state, pool.held) == ("torch", State.REGISTERED, set())
    await one.register("x", FIRST, "")
    assert (one.get("x").engine, pool.held) == ("", set())
    await one.unregister("x")
    assert not one.entries()


async def test_the_last_word_counts_where_two_switch(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, _ = entry
    await one.load("x")
    pool.go.clear()
    tasks = [asyncio.create_task(one.register("x", FIRST, "torch"))]
    await settle()
    tasks.append(asyncio.create_task(one.register("x", FIRST, "")))
    await settle()
    pool.go.set()
    _, last = await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert (last.engine, last, pool.held) == ("", one.get("x"), {"x.encoder", "x.unet", "x.vae_decoder"})


async def test_a_caller_that_leaves_does_not_end_a_switch(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, _ = entry
    await one.load("x")
    pool.go.clear()
    switching = asyncio.create_task(one.register("x", FIRST, "torch"))
    await settle()
    switching.cancel()
    await asyncio.wait([switching])
    pool.go.set()
    await settle()
    assert one.get("x").engine == "torch" and pool.held == {"x~.encoder", "x~.unet", "x~.vae_decoder"}


@pytest.mark.parametrize("on_command_line", [False, True])
async def test_a_restart_keeps_the_engine_and_clears_the_stages_of_the_twin(
    pool: Pool, entry: tuple[Catalog, Entry], tmp_path: Path, on_command_line: bool
) -> None:
    one, _ = entry
    await one.load("x")
    await one.register("x", FIRST, "torch")
    again = catalog(pool, tmp_path)
    if on_command_line:
        await again.register("x", FIRST)
    await again.restore()
    known = await again.load("x")
    assert (known.engine, known.state, pool.held) == ("torch", State.LOADED, {"x.encoder", "x.unet", "x.vae_decoder"})
