"""What stages say in their logs about long work, an engine's build say, while a stack waits for them to be ready."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path


class ProgressLines:
    """Reads on where it stopped; of the lines that are there at first it tells none."""

    def __init__(self, logs: Mapping[str, Path]) -> None:
        self._logs = logs
        self._read_bytes = {name: path.stat().st_size if path.exists() else 0 for name, path in logs.items()}

    def new(self) -> Iterator[tuple[str, str]]:
        """Each message marked as progress since the last time, with the name of the process whose log it is in."""
        for name, path in self._logs.items():
            if not path.exists() or path.stat().st_size == self._read_bytes[name]:
                continue
            with path.open("rb") as stream:
                stream.seek(self._read_bytes[name])
                whole, newline, _ = stream.read().rpartition(b"\n")
            self._read_bytes[name] += len(whole) + len(newline)
            for line in whole.splitlines():
                if message := _progress(line):
                    yield name, message


def _progress(line: bytes) -> str:
    if b'"progress"' not in line:
        return ""
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    return str(entry.get("message", "")) if isinstance(entry, dict) and entry.get("progress") is True else ""
