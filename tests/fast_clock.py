"""An event loop whose clock jumps to the next timer whenever nothing is left to do: waiting takes no time, and what
else the machine does changes nothing. For tests without threads and sockets, which ask for it with a marker.

pytestmark = pytest.mark.fast_clock
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import Any

# A loop may call a timer this early, and who then finds that it is not time yet would ask for ever.
_PAST_S = time.get_clock_info("monotonic").resolution


class _Selector(selectors.DefaultSelector):
    """Moves the clock on instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.now_s += timeout + _PAST_S
        return super().select(timeout and 0)


class FastClockLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s
