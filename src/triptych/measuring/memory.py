"""How much memory something takes at most, looked at again and again while it goes on.

with PeakMemory(used, every_s=0.02) as peak:
    ...
print(peak.bytes, peak.parts)
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

Used = Callable[[], Mapping[str, int]]
"""Bytes by what holds them."""


class Watch(ABC):
    """Looks in a thread of its own for as long as a `with` block, and once more at its end."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    @abstractmethod
    def look(self) -> None:
        """Notes what is to be seen now."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        self.look()
        while not self._done.wait(self._every_s):
            self.look()
        self.look()


class PeakMemory(Watch):
    """`bytes` is the greatest sum, `parts` what each had of it at that moment."""

    def __init__(self, used: Used, every_s: float) -> None:
        super().__init__(every_s)
        self._used = used
        self.bytes = 0
        self.parts: Mapping[str, int] = {}

    def look(self) -> None:
        """Asks what is used now."""
        parts = self._used()
        if sum(parts.values()) > self.bytes:
            self.bytes, self.parts = sum(parts.values()), parts
