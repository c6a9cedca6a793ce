"""The instructions of a pickle that push a value of their own: by opcode, how it is read."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from triptych.checkpoint.pickles.machine.byte_stream import ByteStream, PickleError
from triptych.checkpoint.pickles.machine.values import Inert

# What random generators keep is a few dozen; beyond, arithmetic and text of it would take long.
_LONGEST_INTEGER_BYTES = 256
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[nrt\\'\"])")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}


def index(source: ByteStream) -> int:
    """A number in decimal digits, as protocol 0 writes places of the memo."""
    value = _decimal(source)
    if value < 0:
        raise PickleError("its pickle counts below 0")
    return value


def _decimal(source: ByteStream) -> int:
    line = source.line()
    try:
        return int(line.removesuffix(b"L"))
    except ValueError:
        raise PickleError(f"its pickle has {line[:20]!r} for a number") from None


def _decimal_or_truth(source: ByteStream) -> int | bool:
    """Protocol 0 and 1 write False and True as numbers with a leading zero."""
    line = source.line()
    if line in (b"00", b"01"):
        return line == b"01"
    try:
        return int(line)
    except ValueError:
        raise PickleError(f"its pickle has {line[:20]!r} for a number") from None


def _long(size_bytes: int) -> Callable[[ByteStream], int]:
    def read(source: ByteStream) -> int:
        length = source.number(size_bytes)
        if length > _LONGEST_INTEGER_BYTES:
            raise PickleError(f"its pickle has an integer of {length} bytes")
        return source.number(length, signed=True)

    return read


def _float_line(source: ByteStream) -> float:
    line = source.line()
    try:
        return float(line)
    except ValueError:
        raise PickleError(f"its pickle has {line[:20]!r} for a number") from None


def _float(source: ByteStream) -> float:
    value: float = struct.unpack(">d", source.take(8))[0]
    return value


def _text(size_bytes: int) -> Callable[[ByteStream], str]:
    return lambda source: _decoded(source.counted(size_bytes))


def _python_2_text(size_bytes: int) -> Callable[[ByteStream], str | bytes]:
    """Python 2 wrote text and bytes alike."""

    def read(source: ByteStream) -> str | bytes:
        content = source.counted(size_bytes)
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content

    return read


def _quoted(source: ByteStream) -> str:
    """Python 2's own way to write a text down."""
    line = source.line().decode("latin-1")
    if len(line) < 2 or line[0] not in "\"'" or line[-1] != line[0]:
        raise PickleError(f"its pickle has {line[:20]!r} for a text")
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1]) or chr(int(match[1][1:], 16)), line[1:-1])


def _escaped(source: ByteStream) -> str:
    try:
        return source.line().decode("raw-unicode-escape")
    except UnicodeDecodeError:
        raise PickleError("its pickle has a text that is no Unicode") from None


def _decoded(content: bytes) -> str:
    """Half of a surrogate pair may be among it, as Python has in names of files; no tensor's name passes with one."""
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise PickleError("its pickle has a text that is no Unicode") from None


def _bytes(size_bytes: int) -> Callable[[ByteStream], bytes]:
    return lambda source: source.counted(size_bytes)


def _number(size_bytes: int, *, signed: bool = False) -> Callable[[ByteStream], int]:
    return lambda source: source.number(size_bytes, signed=signed)


PUSHED: dict[int, Callable[[ByteStream], object]] = {
    ord("N"): lambda _: None,
    ord("\x88"): lambda _: True,
    ord("\x89"): lambda _: False,
    ord("I"): _decimal_or_truth,
    ord("J"): _number(4, signed=True),
    ord("K"): _number(1),
    ord("M"): _number(2),
    ord("L"): _decimal,
    ord("\x8a"): _long(1),
    ord("\x8b"): _long(4),
    ord("F"): _float_line,
    ord("G"): _float,
    ord("S"): _quoted,
    ord("T"): _python_2_text(4),
    ord("U"): _python_2_text(1),
    ord("B"): _bytes(4),
    ord("C"): _bytes(1),
    ord("\x8e"): _bytes(8),
    ord("\x96"): _bytes(8),
    ord("V"): _escaped,
    ord("X"): _text(4),
    ord("\x8c"): _text(1),
    ord("\x8d"): _text(8),
    ord(")"): lambda _: (),
    ord("]"): lambda _: [],
    ord("}"): lambda _: {},
    ord("\x8f"): lambda _: Inert("builtins.set"),
}
