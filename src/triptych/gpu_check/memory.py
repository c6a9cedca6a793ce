"""How much memory is used, counted alike for all sides: here by all processes, in `nvml` on all GPUs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

Used = Callable[[], int]
"""In bytes; what a side takes is that, less what was used before it was started."""


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
