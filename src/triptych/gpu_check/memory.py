"""How much memory a side takes at most, counted alike for all sides: what is used then, less what was used before.

idle_bytes = used()
with PeakMemory(used, every_s=0.02) as peak:
    ...
print(peak.bytes - idle_bytes)
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

Used = Callable[[], int]


class PeakMemory:
    """Asks again and again, in a thread of its own. Engines keep the memory that they once took: nothing is missed."""

    def __init__(self, used: Used, every_s: float) -> None:
        self._used, self._every_s = used, every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)
        self.bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, self._used())
            if self._done.wait(self._every_s):
                self.bytes = max(self.bytes, self._used())
                return


def used_by_descendants() -> int:
    """Main memory of all processes below this one; pages that several map are shared out among them."""
    return sum(_proportional_bytes(pid) for pid in _descendants(os.getpid()))


def _descendants(root: int) -> set[int]:
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdecimal()}
    found: set[int] = set()
    layer = {root}
    while layer:
        layer = {pid for pid, parent in parents.items() if parent in layer}
        found |= layer
    return found


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):  # it has just ended
        return 0


def _proportional_bytes(pid: int) -> int:
    try:
        found = re.search(r"^Pss:\s*(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:  # it has just ended
        return 0
    return int(found[1]) * 1024 if found else 0
