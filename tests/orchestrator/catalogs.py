"""Catalogs before a pool that can be held; tests import the fixtures they need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from triptych.checkpoint import Prediction
from triptych.checkpoint.families import FAMILIES
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.entry import Entry, Opened, as_registered
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.pool import PlacedModel

FIRST, SECOND = Path("/checkpoints/first"), Path("/checkpoints/second")


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


async def use(one: Catalog, entry: Entry, release: asyncio.Event, models: Collection[str] = ()) -> None:
    async with one.use(entry, models):
        await release.wait()


async def settle() -> None:
    """For what must not have happened; what must, `until` waits for."""
    await asyncio.sleep(0.1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def sound_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every directory is sound."""
    source = SimpleNamespace(path=Path("/checkpoints"), states={}, vae=None)
    own, nothing = Prediction("epsilon", "its kind"), cast("Any", None)

    def predicting(prediction: Prediction) -> Any:
        checkpoint: Any = SimpleNamespace(family=FAMILIES["stable-diffusion"], is_undecided=False, source=source)
        checkpoint.prediction, checkpoint.own_prediction, checkpoint.predicting = prediction, own, predicting
        return checkpoint

    def read(entry: Entry, wanted: Collection[str]) -> Opened:
        checkpoint = as_registered(predicting(own), entry.prediction_type)
        return Opened(checkpoint, nothing, nothing, (), "", "")

    monkeypatch.setattr(Entry, "read", read)


@pytest.fixture
async def pool() -> Pool:
    return Pool()


@pytest.fixture
async def entry(pool: Pool, tmp_path: Path) -> tuple[Catalog, Entry]:
    one = catalog(pool, tmp_path)
    return one, await one.register("x", FIRST)
