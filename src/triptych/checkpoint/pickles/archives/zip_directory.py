"""Reads the list of a zip file's entries and where each lies; every number in it is a stranger's.

Read by the format's specification (APPNOTE.TXT 4.3), and no more of it than torch writes and people make of that by
packing anew: entries stored or deflated, of one disk. `zipfile` is not used, for it believes what sizes it is told and
takes the last of two entries of one name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from triptych.checkpoint.pickles.machine.byte_stream import PickleError

STORED, DEFLATED = 0, 8
_MOST_ENTRIES = 200_000
_MOST_DIRECTORY_BYTES = 64 << 20
_END, _END_64, _LOCATOR_64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_ENTRY, _LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT_BYTES = 0xFFFF
_ENCRYPTED = 0x1 | 0x40
_OPEN_16, _OPEN_32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True)
class Entry:
    """One file in the archive: `packed_bytes` from `offset`, which are `size_bytes` once unpacked."""

    name: str
    method: int
    offset: int
    packed_bytes: int
    size_bytes: int


def read_entries(stream: BinaryIO, file_bytes: int) -> dict[str, Entry]:
    """Every entry by name; PickleError where the list is not sound."""
    count, size_bytes, offset = _find_directory(stream, file_bytes)
    if size_bytes > _MOST_DIRECTORY_BYTES or count > _MOST_ENTRIES:
        raise PickleError(f"its archive lists {count} files in {size_bytes} bytes, which no checkpoint does")
    listed = _read(stream, offset, size_bytes, file_bytes)
    entries: dict[str, Entry] = {}
    for entry in _listed(stream, listed, count, offset):
        if entry.name in entries:
            raise PickleError(f"its archive has {entry.name[:100]!r} twice")
        entries[entry.name] = entry
    _check_apart(entries)
    return entries


def _find_directory(stream: BinaryIO, file_bytes: int) -> tuple[int, int, int]:
    """Number of entries, and size and offset of their list, which the end of the file tells."""
    tail_at = max(0, file_bytes - _END.size - _LONGEST_COMMENT_BYTES)
    tail = _read(stream, tail_at, file_bytes - tail_at, file_bytes)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise PickleError("cut short: its archive ends before its list of files; download it again")
    _, disk, first_disk, here, count, size_bytes, offset, _ = _END.unpack_from(tail, at)
    if _OPEN_16 in (here, count) or _OPEN_32 in (size_bytes, offset):
        return _find_directory_64(stream, tail_at + at, file_bytes)
    if disk or first_disk or here != count:
        raise PickleError("its archive is one of several parts; join them first")
    return count, size_bytes, offset


def _find_directory_64(stream: BinaryIO, end_at: int, file_bytes: int) -> tuple[int, int, int]:
    locator = _read(stream, end_at - _LOCATOR_64.size, _LOCATOR_64.size, file_bytes)
    mark, _, at, _ = _LOCATOR_64.unpack(locator)
    if mark != b"PK\6\7":
        raise PickleError("its archive says that it is a large one and lacks what large ones end with")
    mark, _, _, _, disk, first_disk, here, count, size_bytes, offset = _END_64.unpack(
        _read(stream, at, _END_64.size, file_bytes)
    )
    if mark != b"PK\6\6" or disk or first_disk or here != count:
        raise PickleError("its archive's end is not that of one file")
    return count, size_bytes, offset


def _listed(stream: BinaryIO, listed: bytes, count: int, directory_at: int) -> Iterator[Entry]:
    at = 0
    for _ in range(count):
        if len(listed) - at < _ENTRY.size or listed[at : at + 4] != b"PK\1\2":
            raise PickleError("its archive's list of files is damaged")
        _, _, _, flags, method, _, _, _, packed, size, name_bytes, extra_bytes, comment_bytes, *_, header_at = (
            _ENTRY.unpack_from(listed, at)
        )
        name_at = at + _ENTRY.size
        raw, extra_at = listed[name_at : name_at + name_bytes], name_at + name_bytes
        at = extra_at + extra_bytes + comment_bytes
        if at > len(listed):
            raise PickleError("its archive's list of files is damaged")
        name = _checked_name(raw, flags, method)
        size, packed, header_at = _widened(listed[extra_at : extra_at + extra_bytes], size, packed, header_at)
        if method == STORED and size != packed:
            raise PickleError(f"its archive says two sizes of {name[:100]!r}")
        yield Entry(name, method, _data_at(stream, raw, header_at, packed, directory_at), packed, size)


def _checked_name(raw: bytes, flags: int, method: int) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise PickleError("its archive has a file whose name is no Unicode") from None
    if flags & _ENCRYPTED:
        raise PickleError(f"its archive's {name[:100]!r} is encrypted")
    if method not in (STORED, DEFLATED):
        raise PickleError(f"its archive's {name[:100]!r} is packed by method {method}; pack it as zip does by default")
    if name.startswith(("/", "\\")) or ".." in name.split("/") or "\0" in name:
        raise PickleError(f"its archive's {name[:100]!r} would lie outside of it")
    return name


def _widened(extra: bytes, *numbers: int) -> list[int]:
    """Of size, packed size and offset those that 32 bits cannot hold stand in a field of their own."""
    wide = iter(_wide_numbers(extra))
    try:
        return [next(wide) if number == _OPEN_32 else number for number in numbers]
    except StopIteration:
        raise PickleError("its archive has a large file and does not say how large") from None


def _wide_numbers(extra: bytes) -> list[int]:
    at = 0
    while len(extra) - at >= 4:
        kind, size_bytes = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + size_bytes]
            return [number for (number,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8])]
        at += 4 + size_bytes
    return []


def _data_at(stream: BinaryIO, raw: bytes, header_at: int, packed_bytes: int, directory_at: int) -> int:
    """Where the entry's bytes begin, behind a header of its own; all before the list."""
    header = _read(stream, header_at, _LOCAL.size + len(raw), directory_at)
    mark, *_, name_bytes, extra_bytes = _LOCAL.unpack_from(header)
    if mark != b"PK\3\4" or name_bytes != len(raw) or header[_LOCAL.size :] != raw:
        raise PickleError("its archive's list of files and the files themselves do not agree")
    data_at: int = header_at + _LOCAL.size + name_bytes + extra_bytes
    if data_at + packed_bytes > directory_at:
        raise PickleError(f"its archive's {raw[:100].decode(errors='replace')!r} is cut short; download it again")
    return data_at


def _check_apart(entries: dict[str, Entry]) -> None:
    """Entries that share bytes unpack to more than the file has."""
    end = 0
    for entry in sorted(entries.values(), key=lambda entry: entry.offset):
        if entry.packed_bytes and entry.offset < end:
            raise PickleError(f"its archive's {entry.name[:100]!r} overlaps another file")
        end = max(end, entry.offset + entry.packed_bytes)


def _read(stream: BinaryIO, offset: int, size_bytes: int, end: int) -> bytes:
    if not 0 <= offset <= offset + size_bytes <= end:
        raise PickleError("its archive points beyond itself; download it again")
    stream.seek(offset)
    taken = stream.read(size_bytes)
    if len(taken) != size_bytes:
        raise PickleError("its archive ends early; download it again")
    return taken
