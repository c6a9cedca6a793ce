"""A torch file as `torch.save` writes it since 1.6: a zip archive of one pickle, and of each storage's bytes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from triptych.checkpoint.pickles.archives.places import Place
from triptych.checkpoint.pickles.archives.zip_directory import DEFLATED, Entry, read_entries
from triptych.checkpoint.pickles.machine.byte_stream import MOST_PICKLE_BYTES, PickleError
from triptych.checkpoint.pickles.machine.machine import Machine
from triptych.checkpoint.pickles.machine.storages import Storages
from triptych.checkpoint.pickles.machine.values import Storage

_PICKLE, _BYTE_ORDER = "data.pkl", "byteorder"
_CHUNK_BYTES = 1 << 20


def read_zip(stream: BinaryIO, file_bytes: int) -> tuple[object, dict[str, Place]]:
    """The pickle's value, and where each storage lies that it refers to; PickleError where something does not fit."""
    entries = read_entries(stream, file_bytes)
    folder = _folder(entries)
    order = _content(stream, entries.get(folder + _BYTE_ORDER), 10) or b"little"
    if order not in (b"little", b"big"):
        raise PickleError(f"its byte order is {order!r}")
    pickle = _content(stream, entries[folder + _PICKLE], MOST_PICKLE_BYTES)
    storages = Storages()
    value = Machine(storages.load).load(io.BytesIO(pickle))
    places = {
        key: _place(entries.get(f"{folder}data/{key}"), storage, big_endian=order == b"big")
        for key, storage in storages.by_key.items()
    }
    return value, places


def _folder(entries: Mapping[str, Entry]) -> str:
    """The one folder in which all lies, whatever it is called."""
    found = [name.removesuffix(_PICKLE) for name in entries if name.endswith("/" + _PICKLE) and name.count("/") == 1]
    if len(found) != 1:
        raise PickleError("a zip archive, but none that torch wrote: it has no data.pkl")
    if found[0] + "constants.pkl" in entries:
        raise PickleError("a TorchScript archive, which is a program; no checkpoint is given as one")
    return found[0]


def _place(entry: Entry | None, storage: Storage, *, big_endian: bool) -> Place:
    if entry is None:
        raise PickleError(f"refers to storage {storage.key}, which its archive lacks")
    if entry.size_bytes != storage.size_bytes:
        raise PickleError(
            f"says that storage {storage.key} has {storage.size_bytes} bytes, and its archive has {entry.size_bytes}"
        )
    deflated = entry.packed_bytes if entry.method == DEFLATED else None
    return Place(entry.offset, entry.size_bytes, deflated, big_endian)


def _content(stream: BinaryIO, entry: Entry | None, most_bytes: int) -> bytes:
    """A small entry whole; empty where there is none."""
    if entry is None:
        return b""
    if entry.size_bytes > most_bytes:
        raise PickleError(f"its archive's {entry.name[:100]!r} is larger than {most_bytes} bytes")
    stream.seek(entry.offset)
    if entry.method == DEFLATED:
        return b"".join(inflate(stream, entry.packed_bytes, entry.size_bytes))
    return stream.read(entry.size_bytes)


def inflate(stream: BinaryIO, packed_bytes: int, size_bytes: int) -> Iterator[bytes]:
    """Chunk by chunk what the next bytes unpack to, which is exactly so many bytes, or else PickleError."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    while size_bytes and not unpacker.eof:
        packed = unpacker.unconsumed_tail or stream.read(min(packed_bytes, _CHUNK_BYTES))
        if not unpacker.unconsumed_tail:
            packed_bytes -= len(packed)
        try:
            chunk = unpacker.decompress(packed, min(size_bytes, _CHUNK_BYTES))
        except zlib.error as error:
            raise PickleError(f"a file in its archive cannot be unpacked: {error}") from error
        if not (packed or chunk):
            break
        size_bytes -= len(chunk)
        yield chunk
    if size_bytes:
        raise PickleError("a file in its archive unpacks to less than it says")
