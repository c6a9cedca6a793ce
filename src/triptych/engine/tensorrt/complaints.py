"""The errors that TensorRT logged last in this thread, for builds run beside requests.

Its calls answer None or False, and only the log tells that memory was short.

forget_errors()
if engine.create_execution_context() is None and (told := shortage()): ...
"""

from __future__ import annotations

import re
import threading
from collections import deque

_MEMORY = re.compile(r"out ?of ?memory|could not be allocated|insufficient memory", re.IGNORECASE)


class _Errors(threading.local):
    """Each thread has its own."""

    def __init__(self) -> None:
        self.latest: deque[str] = deque(maxlen=8)


_errors = _Errors()


def note_error(message: str) -> None:
    """For the logger, of which a process has one."""
    _errors.latest.append(message)


def forget_errors() -> None:
    """Before a call that is asked about afterwards."""
    _errors.latest.clear()


def shortage() -> str:
    """What was said of memory that could not be had, the bytes that were asked for among it; "" where nothing was."""
    return "; ".join(message for message in _errors.latest if _MEMORY.search(message))
