"""Who waits for a checkpoint's hash waits for no other's that has not begun, and a picture not for ever."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from triptych_orchestrator.library import hashes
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.hashes import Hashes
from triptych_orchestrator.pipeline import painter


class Digests:
    """Computes each as soon as `go` is set; `begun` are those that were, in order."""

    def __init__(self) -> None:
        self.go, self.begun, self.is_busy = threading.Event(), list[str](), threading.Event()

    def __call__(self, source: Any) -> str:
        self.begun.append(source.name)
        self.is_busy.set()
        self.go.wait(60)
        return f"hash of {source.name}"


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> Digests:
    one = Digests()
    monkeypatch.setattr(hashes, "checkpoint_digest", one)
    return one


def begun(names: str) -> list[Entry]:
    one, entries = Hashes(), [Entry(name, Path("/x"), "") for name in names]
    for entry in entries:
        source = SimpleNamespace(name=entry.name, format="single-file")
        entry.checkpoint = cast(Any, SimpleNamespace(source=source))
        one.begin(entry)
    return entries


async def test_the_one_that_is_waited_for_is_next(digests: Digests) -> None:
    *_, last = entries = begun("abcd")
    assert digests.is_busy.wait(60)
    waiting = asyncio.create_task(last.sha256())
    await asyncio.sleep(0)
    digests.go.set()
    assert await waiting == "hash of d"
    assert [await entry.sha256() for entry in entries] == [f"hash of {name}" for name in "abcd"]
    assert digests.begun == ["a", "d", "b", "c"]


async def test_a_picture_is_not_kept_by_a_hash_that_takes_long(
    digests: Digests, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(painter, "_HASH_WAIT_S", 0.05)
    (entry,) = begun("a")
    with caplog.at_level(logging.WARNING, "triptych.painter"):
        assert await asyncio.wait_for(painter._model_hash(entry), 30) == ""
    assert "picture without its model's hash" in caplog.text
    digests.go.set()  # it goes on, for those that follow
    assert await entry.sha256() == "hash of a" and await painter._model_hash(entry) == "hash of a"
