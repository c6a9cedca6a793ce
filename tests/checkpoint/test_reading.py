"""Threads that read directories: few, apart from all others, and waited for only so long."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.pickles.advance import advancing
from triptych.checkpoint.reading import Readers, open_in_time
from triptych.errors import FailedPreconditionError

STUCK = """
import threading
from triptych.checkpoint.reading import Readers
begun = threading.Event()
Readers(1).submit(lambda: (begun.set(), threading.Event().wait()))
begun.wait()
"""


def test_not_more_than_so_many_run_and_all_end() -> None:
    readers, go, begun = Readers(3), threading.Event(), threading.Semaphore(0)
    running: list[int] = []

    def work() -> int:
        running.append(threading.get_ident())
        begun.release()
        go.wait(60)
        return 7

    futures = [readers.submit(work) for _ in range(10)]
    for _ in range(3):
        assert begun.acquire(timeout=60)
    assert len(running) == 3
    assert futures[-1].cancel()
    go.set()
    wait(futures, 60)
    assert [future.result(0) for future in futures[:-1]] == [7] * 9 and len(set(running)) == 3 and len(running) == 9


def test_a_failure_is_the_futures() -> None:
    def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Readers(1).submit(work).result(60)


def test_a_process_does_not_wait_for_one_that_is_stuck() -> None:
    subprocess.run([sys.executable, "-c", STUCK], check=True, timeout=60)


def test_a_stage_waits_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    never: Future[Checkpoint] = Future()
    monkeypatch.setattr(Checkpoint, "open", lambda *told: never.result(60))
    with pytest.raises(FailedPreconditionError, match=r"could not be read within 0\.01 s") as caught:
        open_in_time(Path("/models/x"), timeout_s=0.01)
    assert caught.value.metadata["file"] == "/models/x"
    never.cancel()


def test_a_stage_waits_for_as_long_as_a_conversion_gets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as long as it may take otherwise, and no longer once it gets on no more."""
    done, opened = threading.Event(), object()

    def convert(path: Path, *told: object) -> object:
        with advancing(path / "unet" / "x.bin") as advanced:
            for _ in range(100):
                if done.wait(0.05):
                    break
                advanced()
        return opened

    monkeypatch.setattr(Checkpoint, "open", convert)
    threading.Timer(3, done.set).start()
    assert open_in_time(Path("/models/x"), timeout_s=0.3) is opened
    monkeypatch.setattr(Checkpoint, "open", lambda *told: never.result(60))
    never: Future[Checkpoint] = Future()
    with advancing(Path("/models/y.ckpt")), pytest.raises(FailedPreconditionError, match="could not be read"):
        open_in_time(Path("/models/x"), timeout_s=0.01)
    never.cancel()
