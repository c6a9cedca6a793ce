"""The folder of one stack's logs and state, held by one stack at a time."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from pathlib import Path

from triptych.errors import FailedPreconditionError


class RunDir:
    """A folder that was asked for, or a fresh one of its own."""

    def __init__(self, chosen: str | Path | None) -> None:
        self._temporary = chosen is None
        self.path = Path(tempfile.mkdtemp(prefix="triptych-") if chosen is None else chosen).expanduser().absolute()
        (self.path / "state").mkdir(parents=True, exist_ok=True)
        # The kernel lets go of the lock when this process ends, however it ends.
        self._lock = (self.path / ".lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise FailedPreconditionError(f"another stack runs in {self.path}") from None

    def close(self, keep: bool) -> None:
        """Gives it up; removes it if it is temporary and not to be kept."""
        self._lock.close()
        if self._temporary and not keep:
            shutil.rmtree(self.path, ignore_errors=True)
