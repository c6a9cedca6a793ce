"""A checkpoint's files that are read late: by a thread that nobody waits for any more, or while others ask for it."""

from __future__ import annotations

import asyncio
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.orchestrator.catalogs import Pool, catalog
from triptych.checkpoint import Checkpoint
from triptych_orchestrator.library.entry import Entry, State
from triptych_orchestrator.stages.pool import PlacedModel


@dataclass
class FirstRead:
    """The first after `begun` was cleared: it has read all when that is set, and ends when it may `go` on."""

    begun: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    async def end(self) -> None:
        """Returns once every reader has."""
        self.go.set()
        for thread in threading.enumerate():
            if thread.name == "reader":
                await asyncio.to_thread(thread.join, 60)


@pytest.fixture
def copy(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> FirstRead:
    """Later ones are as ever."""
    read, whole = FirstRead(), Checkpoint.open

    def held(*told: Any) -> Checkpoint:
        checkpoint = whole(*told)
        if not read.begun.is_set():
            read.begun.set()
            read.go.wait(60)
        return checkpoint

    monkeypatch.setattr(Checkpoint, "open", held)
    return read


async def test_what_is_read_for_nobody_replaces_nothing(copy: Path, tmp_path: Path, first: FirstRead) -> None:
    first.begun.set()
    one = catalog(Pool(), tmp_path)
    known = await one.register("x", copy)
    first.begun.clear()
    given_up = asyncio.create_task(one.load("x"))
    await asyncio.to_thread(first.begun.wait, 60)
    given_up.cancel()
    await asyncio.wait([given_up])
    assert (await one.load("x")).state is State.LOADED
    loaded = dict(vars(known))
    await first.end()
    assert all(now is loaded[name] for name, now in vars(known).items())


async def test_a_load_waits_until_a_kept_checkpoint_is_read(copy: Path, tmp_path: Path, first: FirstRead) -> None:
    first.begun.set()
    await catalog(Pool(), tmp_path).register("x", copy)
    first.begun.clear()
    second = catalog(Pool(), tmp_path)
    restoring = asyncio.create_task(second.restore())
    await asyncio.to_thread(first.begun.wait, 60)
    known = second.get("x")
    assert known.lock.locked() and known.checkpoint is None
    loading = asyncio.create_task(second.load("x"))
    await first.end()
    await restoring
    assert (await loading) is known and known.state is State.LOADED


class HashedFirst(Pool):
    """Places once the checkpoint's hash is known."""

    entry: Entry

    async def place(self, model: PlacedModel) -> None:
        await asyncio.wait_for(self.entry.digests(), 60)
        assert self.entry.state is State.LOADING and self.entry.known_sha256
        await super().place(model)


async def test_a_hash_is_computed_beside_the_load(copy: Path, tmp_path: Path) -> None:
    pool = HashedFirst()
    one = catalog(pool, tmp_path)
    pool.entry = await one.register("x", copy)
    assert (await one.load("x")).state is State.LOADED and pool.held
