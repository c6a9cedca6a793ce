"""Bytes of a pickle in their order, never more than there are, and their count bounded."""

from __future__ import annotations

from typing import BinaryIO

# A checkpoint's pickle has a few hundred kilobytes: the numbers lie outside of it.
MOST_PICKLE_BYTES = 32 << 20
_LONGEST_LINE_BYTES = 1000


class PickleError(ValueError):
    """What is wrong with a pickle, or with what it asks for; the caller knows which file it is in."""


class ByteStream:
    """Reads on from where the stream stands; `at` is how many bytes it has taken."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next bytes, all of them."""
        self.at += count
        if self.at > MOST_PICKLE_BYTES:
            raise PickleError(f"its pickle is longer than {MOST_PICKLE_BYTES} bytes, or says so")
        taken = self._stream.read(count)
        if len(taken) != count:
            raise PickleError("its pickle ends early; is the file complete?")
        return taken

    def number(self, size_bytes: int, *, signed: bool = False) -> int:
        """The next little-endian number."""
        return int.from_bytes(self.take(size_bytes), "little", signed=signed)

    def counted(self, size_bytes: int) -> bytes:
        """As many bytes as the number before them says."""
        return self.take(self.number(size_bytes))

    def line(self) -> bytes:
        """Up to the end of the line, which is taken too and left out."""
        taken = self._stream.readline(_LONGEST_LINE_BYTES)
        self.at += len(taken)
        if not taken.endswith(b"\n"):
            raise PickleError("its pickle has a line without end; is the file complete?")
        return taken[:-1]
