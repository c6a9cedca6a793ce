"""Many files as one zip, made while it is sent."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path


class _Taken(io.RawIOBase):
    """What was written since it was taken last; cannot seek, so that the archive is written in one go."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: object) -> int:
        """Keeps it."""
        piece = bytes(data)  # type: ignore[call-overload]
        self._written += piece
        return len(piece)

    def take(self) -> bytes:
        """And forgets it."""
        taken = bytes(self._written)
        self._written.clear()
        return taken


def zipped(paths: Sequence[Path]) -> Iterator[bytes]:
    """The pieces of a zip of files, by their names, not compressed again; one that is gone by now is left out."""
    stream = _Taken()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            archive.writestr(path.name, content)
            yield stream.take()
    yield stream.take()
