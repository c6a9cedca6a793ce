"""Who waits for a checkpoint's hash waits for no other's that has not begun, and a picture not for ever."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from triptych.checkpoint.identity.digests import Digests
from triptych_orchestrator.library import hashes
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.hashes import Hashes
from triptych_orchestrator.pipeline.writing import made_of as module
from triptych_orchestrator.pipeline.writing.made_of import made_of


class Computing:
    """Computes each as soon as `go` is set; `begun` are those that were, in order."""

    def __init__(self) -> None:
        self.go, self.begun, self.is_busy = threading.Event(), list[str](), threading.Event()

    def __call__(self, source: Any) -> Digests:
        self.begun.append(source.name)
        self.is_busy.set()
        self.go.wait(60)
        return Digests(f"hash of {source.name}")


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> Computing:
    one = Computing()
    monkeypatch.setattr(hashes, "checkpoint_digests", one)
    return one


def begun(names: str) -> list[Entry]:
    one, entries = Hashes(), [Entry(name, Path("/x"), "") for name in names]
    for entry in entries:
        source = SimpleNamespace(name=entry.name, format="single-file")
        entry.checkpoint = cast(Any, SimpleNamespace(source=source))
        one.begin(entry)
    return entries


async def test_the_one_that_is_waited_for_is_next(digests: Computing) -> None:
    *_, last = entries = begun("abcd")
    assert digests.is_busy.wait(60)
    waiting = asyncio.create_task(last.digests())
    await asyncio.sleep(0)
    digests.go.set()
    assert await waiting == Digests("hash of d")
    assert [await entry.digests() for entry in entries] == [Digests(f"hash of {name}") for name in "abcd"]
    assert digests.begun == ["a", "d", "b", "c"]


async def test_a_picture_is_not_kept_by_a_hash_that_takes_long(
    digests: Computing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_HASH_WAIT_S", 0.05)
    (entry,) = begun("a")
    with caplog.at_level(logging.WARNING, "triptych.painter"):
        without = await asyncio.wait_for(made_of({"a": entry}, {}), 30)
    assert not without.digests and "'a'" in without.warnings[0]
    assert "picture without its model's hash" in caplog.text
    digests.go.set()  # it goes on, for those that follow
    assert (await made_of({"a": entry}, {})).digests == {"a": Digests("hash of a")}
