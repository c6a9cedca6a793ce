"""How much memory processes hold, and what the cores worked for them, as the kernel counts it."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from triptych.embedded import Stack
from triptych.embedded.processes.process import group_members, group_states
from triptych.measuring.memory import PeakMemory, Watch

WATCH_S = 0.1
# The processes of each name, as they are now.
Groups = Callable[[], Mapping[str, Iterable[int]]]


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
    """A Triton server with its Python stubs, or the orchestrator."""
    return {
        process.name: total_memory(group_members(process.pid))
        for process in stack.processes()
        if process.pid is not None
    }


def own_bytes(groups: Mapping[str, Iterable[int]]) -> dict[str, int]:
    """What each holds now that is no file's: anonymous and shared memory."""
    return {name: round(sum(_now(pid).own for pid in pids) * 10**9) for name, pids in groups.items()}


def peak_of_own(groups: Groups) -> PeakMemory:
    """The greatest sum of that while a `with` block lasts."""
    return PeakMemory(lambda: own_bytes(groups()), WATCH_S)


@dataclass(frozen=True)
class Peak:
    """Gigabytes (10**9) that are resident, and those of them that no file backs."""

    resident: float = 0
    own: float = 0

    def __add__(self, other: Peak) -> Peak:
        return Peak(self.resident + other.resident, self.own + other.own)


class PeakEach(Watch):
    """Looks at the processes that `groups` names, each with its pids, for as long as a `with` block.

    `peaks` are the greatest resident and the greatest anonymous and shared memory of each, at whatever moments.
    """

    def __init__(self, groups: Groups) -> None:
        super().__init__(WATCH_S)
        self._groups = groups
        self.peaks: dict[str, Peak] = {}

    def look(self) -> None:
        """Asks what they hold now."""
        for name, pids in self._groups().items():
            now = sum((_now(pid) for pid in pids), Peak())
            before = self.peaks.get(name, Peak())
            self.peaks[name] = Peak(max(before.resident, now.resident), max(before.own, now.own))


def _now(pid: int) -> Peak:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it ended while we looked
        return Peak()
    own = _megabytes(status, "RssAnon") + _megabytes(status, "RssShmem")
    return Peak(_megabytes(status, "VmRSS") * 2**20 / 10**9, own * 2**20 / 10**9)


def processor_seconds(groups: Mapping[str, Iterable[int]]) -> float:
    """What the cores have worked so far for all of these processes, and for their children that have ended."""
    return sum(map(_processor_seconds, itertools.chain.from_iterable(groups.values())))


def clock_of(stack: Stack) -> Callable[[], float]:
    """Tells those of all processes of a stack."""
    return lambda: processor_seconds(processes_of(stack))


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # it ended while we looked
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def processes_of(stack: Stack) -> dict[str, list[int]]:
    """Each leads a process group: a Triton server and its Python stubs, or the orchestrator; zombies too."""
    return {process.name: [*group_states(process.pid)] for process in stack.processes() if process.pid is not None}


def _megabytes(text: str, name: str) -> float:
    found = re.search(rf"^{name}:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
