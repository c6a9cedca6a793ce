"""Which conversions of this process get on: whoever waits for one waits for as long as it does.

A conversion takes as long as the disk takes for the file: no fixed time would tell a slow one from one that hangs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_steps: dict[Path, int] = {}
_lock = threading.Lock()


@contextmanager
def advancing(path: Path) -> Iterator[Callable[[], None]]:
    """For as long as the file is being converted: a function that says that it got on."""
    with _lock:
        _steps[path] = 1

    def advanced() -> None:
        with _lock:
            _steps[path] = _steps.get(path, 0) + 1

    try:
        yield advanced
    finally:
        with _lock:
            _steps.pop(path, None)


def steps(path: Path) -> int:
    """Another number than before if a conversion of the file, or of one below the folder, has got on since."""
    with _lock:
        return sum(count for file, count in _steps.items() if file.is_relative_to(path))
