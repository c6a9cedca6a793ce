"""Protocol Buffers' encoding, field by field, over an open file: what nobody asks for is passed over unread.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
# Of a whole file: a network of a thousand layers has some ten thousand.
_MOST_FIELDS = 2_000_000
_LONGEST_TEXT_BYTES = 64_000


class Span(NamedTuple):
    """Bytes of the file: a message, a text or packed numbers."""

    begin: int
    end: int

    @property
    def size_bytes(self) -> int:
        """Of it."""
        return self.end - self.begin


@dataclass
class Wire:
    """The fields of a file's messages; ValueError where it is not so encoded, or has more than any network."""

    stream: BinaryIO
    _fields: int = 0

    def fields(self, span: Span) -> Iterator[tuple[int, int | Span]]:
        """Of one message: each field's number with its integer, or with where its content lies."""
        place = span.begin
        while place < span.end:
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise ValueError(f"has more than {_MOST_FIELDS:,} fields")
            self.stream.seek(place)
            tag = self._varint()
            number, kind = tag >> 3, tag & 7
            if kind == _VARINT:
                value: int | Span = self._varint()
                place = self.stream.tell()
            else:
                length = {_FIXED_64: 8, _FIXED_32: 4}.get(kind)
                if length is None and kind != _LENGTH:
                    raise ValueError(f"has a field of the unknown kind {kind}")
                length = self._varint() if length is None else length
                begin = self.stream.tell()
                place = begin + length
                value = Span(begin, place)
            if place > span.end:
                raise ValueError("ends in the middle of a field")
            yield number, value

    def text(self, span: Span) -> str:
        """What stands there."""
        if span.size_bytes > _LONGEST_TEXT_BYTES:
            raise ValueError(f"has a name of {span.size_bytes:,} bytes")
        self.stream.seek(span.begin)
        return self.stream.read(span.size_bytes).decode()

    def packed(self, span: Span, most: int) -> list[int]:
        """The integers there, of which there may be as many."""
        self.stream.seek(span.begin)
        found: list[int] = []
        while self.stream.tell() < span.end:
            found.append(self._varint())
            if len(found) > most:
                raise ValueError(f"has a list of more than {most} numbers where a shape should be")
        return found

    def _varint(self) -> int:
        value = 0
        for place, byte in enumerate(iter(lambda: self.stream.read(1), b"")):
            if place == _LONGEST_VARINT:
                break
            value |= (byte[0] & 0x7F) << (7 * place)
            if byte[0] < 0x80:
                return value
        raise ValueError("ends in the middle of a number, or has one that never ends")
