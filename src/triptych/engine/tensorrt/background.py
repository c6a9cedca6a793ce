"""Work beside a running engine that nobody waits for: waiting for its turn, begun, done, or failed by name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

# An engine that the cache has is there within seconds once nothing else is made, and to wait for it saves the request.
_TURN_S = 1.0
_LOADING_S = 60.0

logger = logging.getLogger("triptych.engine")


class Job:
    """Runs in a thread of its own, which ends with the process; `problem` says why it failed, and is empty else.

    Jobs that share `turn` run one after the other.
    """

    def __init__(self, name: str, work: Callable[[], None], turn: threading.Lock) -> None:
        """Holds neither once it has ended: engines that stay because they hold each other would fill a GPU."""
        self.name, self.problem = name, ""
        self._begun, self._ended = threading.Event(), threading.Event()
        threading.Thread(target=self._run, args=(work, turn), name=name, daemon=True).start()

    def wait_for_loading(self) -> None:
        """For one that has little to do: until it has ended, unless its turn does not come soon."""
        if self._begun.wait(_TURN_S):
            self.wait(_LOADING_S)

    def wait(self, timeout_s: float = threading.TIMEOUT_MAX) -> bool:
        """Whether it has ended, well or not, within that time."""
        return self._ended.wait(timeout_s)

    def leave(self) -> None:
        """Has nobody wait for it any more, whatever it does."""
        self._ended.set()

    def _run(self, work: Callable[[], None], turn: threading.Lock) -> None:
        try:
            with turn:
                self._begun.set()
                work()
        except Exception as error:  # TensorRT's and CUDA's are of any class
            self.problem = f"{type(error).__name__}: {error}"
            logger.warning("%s failed: %s", self.name, error, exc_info=True)
        finally:
            self._ended.set()
