"""A folder that one stack at a time holds; made where it is missing, refused by its option where it cannot be had."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from triptych.embedded.folders.places import usable
from triptych.errors import FailedPreconditionError


class HeldFolder:
    """Held until `close`, or until this process ends, however it ends: the kernel lets go of the lock then."""

    def __init__(self, field: str, path: Path, remedy: str) -> None:
        self.path = path
        with usable(field, path, remedy):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (path / f".{field}.lock").touch(mode=0o600)
            self._lock = (path / f".{field}.lock").open("a+")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                problem = f"{field}: another stack runs in {path} (process {self._note()}); stop it, or {remedy}"
                self._lock.close()
                raise FailedPreconditionError(problem, field=field) from None
            # Whoever ends without `close` leaves the note behind.
            self.was_abandoned = bool(self._note())
            self._write(str(os.getpid()))

    def close(self) -> None:
        """Gives it up."""
        self._write("")
        self._lock.close()

    def _note(self) -> str:
        self._lock.seek(0)
        return self._lock.read(20)

    def _write(self, note: str) -> None:
        self._lock.truncate(0)
        self._lock.write(note)
        self._lock.flush()
