"""How much memory processes hold, as the kernel counts it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from triptych.embedded import Stack
from triptych.embedded.processes.process import group_members


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


def _megabytes(text: str, name: str) -> float:
    found = re.search(rf"^{name}:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
