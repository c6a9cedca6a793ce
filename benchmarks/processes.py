"""How much memory processes hold, as the kernel counts it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from triptych.embedded import Stack
from triptych.embedded.processes.process import group_members

_WATCH_S = 0.1


@dataclass(frozen=True)
class Memory:
    """Megabytes (2**20) of one process, or of several together.

    `resident` counts a page once in every process that maps it, `proportional` shares it out among them;
    `peak` is the highest `resident` so far, `shared` what is shared memory and no file's.
    """

    resident: float = 0
    peak: float = 0
    anonymous: float = 0
    shared: float = 0
    proportional: float = 0

    def __add__(self, other: Memory) -> Memory:
        return Memory(
            self.resident + other.resident,
            self.peak + other.peak,
            self.anonymous + other.anonymous,
            self.shared + other.shared,
            self.proportional + other.proportional,
        )


def read_memory(pid: int) -> Memory:
    """One process now."""
    status = Path(f"/proc/{pid}/status").read_text()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return Memory(
        _megabytes(status, "VmRSS"),
        _megabytes(status, "VmHWM"),
        _megabytes(status, "RssAnon"),
        _megabytes(status, "RssShmem"),
        _megabytes(rollup, "Pss"),
    )


def total_memory(pids: Iterable[int]) -> Memory:
    """Several processes together; their peaks need not have come at the same time."""
    return sum((read_memory(pid) for pid in pids), Memory())


def memory_by_process(stack: Stack) -> dict[str, Memory]:
    """Each leads a process group: a Triton server and its Python stubs, or the orchestrator."""
    return {
        process.name: total_memory(group_members(process.pid))
        for process in stack.processes()
        if process.pid is not None
    }


class PeakMemory:
    """Looks again and again, for as long as a `with` block, at what all processes hold that is no file's.

    `gigabytes` (10**9) is the greatest sum of anonymous and shared memory, `parts` what each had of it at that moment.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = Event()
        self._thread = Thread(target=self._watch)
        self.gigabytes = 0.0
        self.parts: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_WATCH_S):
            parts = {process.name: _own_gigabytes(process.pid) for process in self._stack.processes() if process.pid}
            if sum(parts.values()) > self.gigabytes:
                self.gigabytes, self.parts = sum(parts.values()), parts


def _own_gigabytes(group: int) -> float:
    total = 0.0
    for pid in group_members(group):
        with suppress(OSError):  # it ended while we looked
            status = Path(f"/proc/{pid}/status").read_text()
            total += _megabytes(status, "RssAnon") + _megabytes(status, "RssShmem")
    return total * 2**20 / 10**9


def _megabytes(text: str, name: str) -> float:
    found = re.search(rf"^{name}:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
