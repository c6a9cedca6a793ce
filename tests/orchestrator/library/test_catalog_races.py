"""Loads, unloads and switches of one checkpoint that meet, with a pool that can be held."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from tests.orchestrator.catalogs import (
    FIRST,
    SECOND,
    Pool,
    catalog,
    entry,
    pool,
    settle,
    sound_directories,
    until,
    use,
)
from triptych.errors import (
    CheckpointInvalidError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
)
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.entry import Entry, State
from triptych_orchestrator.settings import Limits, Settings
from triptych_orchestrator.stages.pool import PlacedModel

__all__ = ["entry", "pool", "sound_directories"]


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
    go, read = threading.Event(), Entry.read
    monkeypatch.setattr(Entry, "read", lambda entry, wanted: go.wait(60) and read(entry, wanted))
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
    await until(lambda: known.state is State.UNLOADING)
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
    await until(lambda: len(pool.held) == 6)
    await settle()
    assert not switching.done()
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
        "vae_encoder": "",
        "safety_checker": "",
    }


async def test_a_switch_that_fails_changes_nothing(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, known = entry
    await one.load("x")
    held = set(pool.held)
    pool.fail = FailedPreconditionError("there is no torch")
    with pytest.raises(FailedPreconditionError):
        await one.register("x", FIRST, "torch")
    assert (one.get("x"), known.state, known.engine, pool.held) == (known, State.LOADED, "", held)


async def test_a_switch_and_what_the_unet_predicts_are_one(
    pool: Pool, entry: tuple[Catalog, Entry], tmp_path: Path
) -> None:
    one, known = entry
    await one.load("x")
    pool.fail = UnavailableError("no replica is up")
    with pytest.raises(UnavailableError):
        await one.register("x", FIRST, "torch", "v_prediction")
    assert one.get("x") is known and known.prediction_type == ""
    assert known.checkpoint and known.checkpoint.prediction.type == "epsilon"
    second = catalog(pool, tmp_path)
    assert (await second.register("x", FIRST)).prediction_type == ""
    pool.fail, held = None, set(pool.held)
    new = await one.register("x", FIRST, "torch", "v_prediction")
    assert new is not known and (new.engine, new.prediction_type) == ("torch", "v_prediction")
    assert new.checkpoint and new.checkpoint.prediction == ("v_prediction", "its registration")
    assert known.checkpoint.prediction.type == "epsilon" and not held & pool.held
    # Alone it needs no switch.
    assert await one.register("x", FIRST, "torch", "epsilon") is new
    assert new.checkpoint.prediction == ("epsilon", "its registration")


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
    await until(lambda: pool.held == {"x~.encoder", "x~.unet", "x~.vae_decoder"})
    assert one.get("x").engine == "torch"


async def test_what_only_some_requests_need_is_placed_by_the_first_of_them(
    pool: Pool, entry: tuple[Catalog, Entry]
) -> None:
    one, known = entry
    async with one.use(known):
        assert pool.held == {"x.encoder", "x.unet", "x.vae_decoder"}
    pool.go.clear()
    release = asyncio.Event()
    users = [asyncio.create_task(use(one, known, release, ["vae_encoder", "unet"])) for _ in range(3)]
    await settle()
    users[0].cancel()  # the others go on waiting
    pool.go.set()
    await until(lambda: pool.held == {"x.encoder", "x.unet", "x.vae_decoder", "x.vae_encoder"})
    assert pool.placed == 4
    release.set()
    await asyncio.gather(*users[1:])
    async with one.use(known, ["vae_encoder"]):
        assert pool.placed == 4
    await one.unload("x")
    assert pool.held == set()
    async with one.use(known, ["vae_encoder"]):
        assert "x.vae_encoder" in pool.held and pool.placed == 8


async def test_a_model_goes_on_being_placed_until_the_last_who_wants_it_has_left(
    pool: Pool, entry: tuple[Catalog, Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, known = entry
    await one.load("x")
    outcomes = []

    async def noted(model: PlacedModel) -> None:
        try:
            await place(model)
            outcomes.append("placed")
        except asyncio.CancelledError:
            outcomes.append("given up")
            raise

    place = pool.place
    monkeypatch.setattr(pool, "place", noted)
    pool.go.clear()
    release = asyncio.Event()
    users = [asyncio.create_task(use(one, known, release, ["vae_encoder"])) for _ in range(3)]
    await settle()
    for user, expected in zip(users, ([], [], ["given up"]), strict=True):
        user.cancel()
        await settle()
        await until(lambda expected=expected: outcomes == expected)
    pool.go.set()
    async with one.use(known, ["vae_encoder"]):
        assert outcomes == ["given up", "placed"]


async def test_what_cannot_be_placed_fails_the_request_alone(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, known = entry
    await one.load("x")
    pool.fail = FailedPreconditionError("there is no torch to export with")
    with pytest.raises(FailedPreconditionError):
        async with one.use(known, ["vae_encoder"]):
            raise AssertionError("not reached")
    assert (known.state, known.users) == (State.LOADED, 0)
    async with one.use(known):
        pass
    pool.fail = None
    async with one.use(known, ["vae_encoder"]):
        assert "x.vae_encoder" in pool.held


async def test_an_unload_waits_for_the_request_that_is_just_placing_a_model(
    pool: Pool, entry: tuple[Catalog, Entry]
) -> None:
    one, known = entry
    await one.load("x")
    pool.go.clear()
    release = asyncio.Event()
    user = asyncio.create_task(use(one, known, release, ["vae_encoder"]))
    await settle()
    unloading = asyncio.create_task(one.unload("x"))
    await settle()
    pool.go.set()
    await until(lambda: "x.vae_encoder" in pool.held)
    await settle()
    assert not unloading.done()
    release.set()
    await asyncio.gather(user, unloading)
    assert pool.held == set()


async def test_several_are_always_used_in_one_order(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    """Were each of two requests to hold one and wait for the other's, which are both being unloaded, none would end."""
    one, first = entry
    second = await one.register("y", SECOND)
    pool.go.clear()
    release = asyncio.Event()

    async def use_both(entries: list[Entry]) -> None:
        async with one.use_all(entries, {"y": ["vae_encoder"]}) as used:
            assert used == {"x": first, "y": second}
            await release.wait()

    callers = [asyncio.create_task(use_both(entries)) for entries in ([first, second], [second, first])]
    await until(lambda: first.state is State.LOADING)
    await settle()
    assert second.state is State.REGISTERED
    pool.go.set()
    await until(lambda: (first.users, second.users) == (2, 2))
    assert "vae_encoder" in second.held and "vae_encoder" not in first.held
    unloading = [asyncio.create_task(one.unload(name)) for name in ("y", "x")]
    await settle()
    release.set()
    await asyncio.wait_for(asyncio.gather(*callers, *unloading), 10)
    assert (first.users, second.users, pool.held) == (0, 0, set())
