"""The file of those who may call: a line each, `#` before what is none.

KeyFile(path).put(entry); KeyFile(path).entries(); KeyFile(path).remove("ann")
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from triptych.errors import FailedPreconditionError, NotFoundError
from triptych.keys.entry import Entry

_MOST_BYTES = 4 << 20


class KeyFile:
    """Written whole, by a rename, and for its owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> dict[str, Entry]:
        """By their names; FailedPreconditionError says which line is none, or why there is no file."""
        try:
            with self.path.open("rb") as file:
                text = file.read(_MOST_BYTES + 1)
        except OSError as error:
            problem = f"{self.path} cannot be read: {error.strerror}; triptych keys add NAME --file makes one"
            raise FailedPreconditionError(f"credentials: {problem}", field="credentials") from error
        if len(text) > _MOST_BYTES:
            raise FailedPreconditionError(f"credentials: {self.path} is no file of keys: it is too large")
        entries: dict[str, Entry] = {}
        for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                entry = Entry.parse(line)
            except ValueError as error:
                problem = f"line {number} of {self.path} is no key: {error}"
                raise FailedPreconditionError(f"credentials: {problem}", field="credentials") from error
            entries[entry.name] = entry
        return entries

    def put(self, entry: Entry) -> None:
        """Adds one, in the place of another of its name."""
        entries = self.entries() if self.path.exists() else {}
        self._write({**entries, entry.name: entry})

    def remove(self, name: str) -> None:
        """NotFoundError where there is none of that name."""
        entries = self.entries()
        if name not in entries:
            known = ", ".join(sorted(entries)) or "nobody"
            raise NotFoundError(f"name: {name!r} is not in {self.path}, which has {known}", field="name")
        del entries[name]
        self._write(entries)

    def _write(self, entries: dict[str, Entry]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
            with os.fdopen(descriptor, "w") as file:  # mkstemp's files are for their owner alone
                file.write("".join(f"{entry.line()}\n" for entry in entries.values()))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except OSError as error:
            problem = f"{self.path} cannot be written: {error.strerror}"
            raise FailedPreconditionError(f"credentials: {problem}", field="credentials") from error
