"""What a catalog registers, writes down and takes up again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.e2e.serving import wait_for
from tests.orchestrator.catalogs import FIRST, SECOND, Pool, catalog, entry, pool, settle, sound_directories
from triptych.checkpoint.families import FAMILIES
from triptych.errors import (
    AlreadyExistsError,
    CheckpointInvalidError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
)
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.entry import Entry, State
from triptych_orchestrator.library.registered import Registered
from triptych_orchestrator.settings import Limits, Settings

__all__ = ["entry", "pool", "sound_directories"]


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


async def test_what_a_checkpoint_predicts_is_kept_as_registered(pool: Pool, tmp_path: Path) -> None:
    one = catalog(pool, tmp_path)
    with pytest.raises(InvalidArgumentError, match="prediction_type: 'x0' is none of epsilon, v_prediction"):
        await one.register("x", FIRST, prediction_type="x0")
    assert (await one.register("x", FIRST, prediction_type="v_prediction")).prediction_type == "v_prediction"
    second = catalog(pool, tmp_path)
    assert (await second.register("x", FIRST)).prediction_type == "v_prediction"
    third = catalog(pool, tmp_path)
    await third.restore()
    assert third.get("x").prediction_type == "v_prediction"


async def test_what_is_left_open_stays_as_it_is_registered(pool: Pool, tmp_path: Path) -> None:
    """As it does where files were exchanged, and it is registered again for that."""
    one = catalog(pool, tmp_path)

    async def register(**given: str) -> Registered:
        known = await one.register("x", FIRST, **given)  # type: ignore[arg-type]
        return known.registered

    chosen = Registered("torch", "fp16", "v_prediction", "/vaes/one", "/encoders/one")
    assert await register(**asdict(chosen)) == chosen == await register()
    assert await register(variant="") == chosen.given(variant="") == await register()
    assert await register(engine="") == chosen.given(variant="", engine="")
    assert await register(vae="", image_encoder="") == Registered("", "", "v_prediction") == await register()


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
        {"x": KEPT | {"prediction_type": "x0"}},
        {"x": KEPT | {"prediction_type": None}},
        {"x": KEPT | {"variant": 7}},
        {"x": KEPT | {"vae": 7}},
        {"x": KEPT | {"vae": "relative"}},
        {"x": KEPT | {"image_encoder": "relative"}},
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
        with pytest.raises(FailedPreconditionError, match=r"checkpoints\.json cannot be kept in"):
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


async def test_another_vae_is_kept_and_switched(pool: Pool, tmp_path: Path) -> None:
    first = catalog(pool, tmp_path)
    known = await first.register("x", FIRST, vae="/vaes/one", load=True)
    assert {model.parameters["vae"] for model in known.models().values()} == {"/vaes/one"}
    second = catalog(pool, tmp_path)
    await second.restore()
    assert (second.get("x").vae, second.get("x").state) == ("/vaes/one", State.LOADED)
    third = catalog(pool, tmp_path)
    assert (await third.register("x", FIRST, load=True)).vae == "/vaes/one"  # as the earlier run had it
    switched = await third.register("x", FIRST, vae="/vaes/two")
    assert (switched.vae, switched.is_twin, switched.state) == ("/vaes/two", True, State.LOADED)
    assert {model.parameters["vae"] for model in switched.models().values()} == {"/vaes/two"}
    assert await third.register("x", FIRST) is switched is await third.register("x", FIRST, vae="/vaes/./two")
    own = await third.register("x", FIRST, vae="")
    assert own.vae == "" and not any(model.parameters["vae"] for model in own.models().values())
    assert "vae" not in json.loads((tmp_path / "checkpoints.json").read_text())["x"]
    with pytest.raises(InvalidArgumentError, match=r"^image_encoder: 'vision' must be absolute"):
        await third.register("x", FIRST, image_encoder="vision")
    with pytest.raises(InvalidArgumentError, match=r"^vae: 'vaes/two' must be absolute"):
        await third.register("x", FIRST, vae="vaes/two")


async def test_a_vae_alone_is_never_the_only_checkpoint(pool: Pool, tmp_path: Path) -> None:
    one = catalog(pool, tmp_path)
    checkpoint = await one.register("x", FIRST)
    vae = await one.register("vae", SECOND)
    vae.checkpoint = SimpleNamespace(family=FAMILIES["autoencoder-kl"])  # type: ignore[assignment]
    assert one.get("") is checkpoint
    await one.unregister("x")
    with pytest.raises(InvalidArgumentError, match="checkpoint: name one of those registered"):
        one.get("")
