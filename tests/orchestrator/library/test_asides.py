"""Checkpoints on another engine for requests that ask for it, with a pool that can be held."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.orchestrator.catalogs import FIRST, Pool, catalog, entry, pool, settle, sound_directories, use
from triptych.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.entry import Entry, State

__all__ = ["entry", "pool", "sound_directories"]

OWN = {"x.encoder", "x.unet", "x.vae_decoder"}
ASIDE = {"x~torch.encoder", "x~torch.unet", "x~torch.vae_decoder"}


async def test_it_is_loaded_beside_and_shown_to_nobody(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, own = entry
    await one.load("x")
    aside = one.on_engine(own, "torch")
    assert aside is one.on_engine(own, "torch") and one.on_engine(own, "") is own
    async with one.use(aside) as used:
        assert used is aside and used.engine == "torch" and used.name == "x"
        assert pool.held == OWN | ASIDE
    assert one.entries() == [own] and (own.engine, own.users) == ("", 0)
    assert {model.public_name for model in aside.models_to_load()} == {model.name for model in own.models_to_load()}


async def test_it_is_the_checkpoint_itself_where_that_is_on_the_engine(tmp_path: Path) -> None:
    one = catalog(Pool(), tmp_path)
    own = await one.register("x", FIRST, "torch")
    assert one.on_engine(own, "torch") is own
    assert one.on_engine(own, "onnxruntime") is not own
    with pytest.raises(InvalidArgumentError, match=r"^engine: 'jax' is not one of"):
        one.on_engine(own, "jax")


async def test_it_follows_the_checkpoint(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, own = entry
    aside = one.on_engine(own, "torch")
    async with one.use(aside):
        pass
    await one.unload("x")
    assert pool.held == set()
    async with one.use(aside):
        assert pool.held == ASIDE
    own = await one.register("x", FIRST, variant="fp16")
    assert pool.held == set() and aside.state is State.REGISTERED
    async with one.use(one.on_engine(own, "torch")) as used:
        assert used is aside
        assert {model.parameters["variant"] for model in used.models_to_load()} == {"fp16"}
        assert {model.parameters["engine"] for model in used.models_to_load()} == {"torch"}
    await one.unregister("x")
    assert pool.held == set()
    with pytest.raises(NotFoundError):
        async with one.use(aside):
            pass


async def test_its_requests_end_before_it_goes(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, own = entry
    release = asyncio.Event()
    running = asyncio.create_task(use(one, one.on_engine(own, "torch"), release))
    await settle()
    unloading = asyncio.create_task(one.unload("x"))
    await settle()
    assert pool.held == ASIDE and not unloading.done()
    release.set()
    await asyncio.wait_for(asyncio.gather(running, unloading), 10)
    assert pool.held == set()


async def test_where_it_cannot_be_loaded_the_checkpoint_serves_on(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    one, own = entry
    await one.load("x")
    pool.fail = FailedPreconditionError("there is no torch")
    with pytest.raises(FailedPreconditionError):
        async with one.use(one.on_engine(own, "torch")):
            pass
    pool.fail = None
    assert (own.state, own.error, pool.held) == (State.LOADED, "", OWN)
    async with one.use(one.on_engine(own, "torch")):
        assert pool.held == OWN | ASIDE


async def test_what_an_earlier_run_has_left_goes(pool: Pool, entry: tuple[Catalog, Entry]) -> None:
    pool.held = set(ASIDE)
    await entry[0].load("x")
    assert pool.held == OWN
