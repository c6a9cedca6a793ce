"""Work beside a running engine that nobody waits for: begun, done, or failed by name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger("triptych.engine")


class Job:
    """Runs in a thread of its own, which ends with the process; `problem` says why it failed, and is empty else."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.name, self.problem = name, ""
        self._work, self._ended = work, threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended, well or not, within that time."""
        return self._ended.wait(timeout_s)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # TensorRT's and CUDA's are of any class
            self.problem = f"{type(error).__name__}: {error}"
            logger.warning("%s failed: %s", self.name, error, exc_info=True)
        finally:
            self._ended.set()
