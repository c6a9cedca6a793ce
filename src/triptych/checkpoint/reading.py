"""Reads directories of strangers in threads of their own: one on a file system that hangs ends no process's patience.

readers = Readers(8)
checkpoint = readers.submit(lambda: Checkpoint.open(path)).result(READ_TIMEOUT_S)
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from triptych.checkpoint.directory import Checkpoint
from triptych.checkpoint.pickles.advance import steps
from triptych.errors import FailedPreconditionError

Value = TypeVar("Value")

READ_TIMEOUT_S = 60


class Readers:
    """At most so many threads, and none that the process waits for at its end, as it does for an executor's."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads = 0
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], Value]) -> Future[Value]:
        """Begins the work as soon as a thread is free; one that is cancelled before never begins."""
        future: Future[Value] = Future()
        with self._lock:
            self._waiting.append((future, work))
            if self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._run, name="reader", daemon=True).start()
        return future

    def hurry(self, future: Future[Any]) -> None:
        """Has it be the next to begin, where it has not begun."""
        with self._lock:
            for job in [job for job in self._waiting if job[0] is future]:
                self._waiting.remove(job)
                self._waiting.appendleft(job)

    def _run(self) -> None:
        while job := self._next():
            future, work = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None


def too_slow(path: Path, seconds: float) -> FailedPreconditionError:
    """The error about a checkpoint that was not read in time."""
    problem = (
        f"could not be read within {seconds:g} s; does its file system answer? Others may be waiting for theirs too"
    )
    return FailedPreconditionError(f"{path}: {problem}", file=str(path))


def open_in_time(
    path: Path,
    variant: str = "",
    vae: Path | None = None,
    optional: Collection[str] = (),
    timeout_s: float = READ_TIMEOUT_S,
    *,
    image_encoder: Path | None = None,
) -> Checkpoint:
    """`Checkpoint.open`, or FailedPreconditionError after that many seconds in which no conversion got on."""
    reading = Readers(1).submit(lambda: Checkpoint.open(path, variant, vae, optional, image_encoder))
    paths = [each for each in (path, vae, image_encoder) if each]
    before = None
    while before != (before := sum(map(steps, paths))):
        with suppress(TimeoutError):
            return reading.result(timeout_s)
    raise too_slow(path, timeout_s)
