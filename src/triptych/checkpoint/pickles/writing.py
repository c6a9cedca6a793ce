"""Writes tensors of a torch file as one safetensors file, copied from file to file without going through memory.

The format has no room between tensors, so that their order aligns them: first those whose size is a multiple of a cache
line, which are nearly all, then the others by the size of their elements. The header is padded, as the format allows.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from triptych.checkpoint.opening import size_of
from triptych.checkpoint.pickles.archives.places import Place
from triptych.checkpoint.pickles.archives.zip_file import inflate
from triptych.checkpoint.pickles.machine.byte_stream import PickleError
from triptych.checkpoint.pickles.machine.dtypes import ITEM_BYTES
from triptych.checkpoint.pickles.machine.values import PickledTensor

Numbers = npt.NDArray[Any]

_LINE_BYTES = 64
_MOST_HEADER_BYTES = 8_000_000
# What is written may be larger than the file: tensors that share a storage each have a copy, a packed one is unpacked.
_MOST_TIMES_LARGER, _ROOM_BYTES = 4, 64 << 20
_CHUNK_ELEMENTS = 1 << 20
# At a time, which the slowest disk takes seconds for.
_SENT_BYTES = 64 << 20


def write_safetensors(
    source: BinaryIO,
    tensors: Mapping[str, PickledTensor],
    places: Mapping[str, Place],
    metadata: Mapping[str, str],
    path: Path,
    advanced: Callable[[], None] = lambda: None,
) -> None:
    """A new file at `path`. PickleError for what the source does not hold, OSError where nothing can be written.

    `advanced` is called every once in a while as long as it gets on.
    """
    ordered = dict(sorted(tensors.items(), key=_order))
    header = _header(ordered, metadata)
    total_bytes = sum(map(size_bytes, ordered.values()))
    unpacked_bytes = sum(places[key].size_bytes for key in {tensor.storage.key for tensor in ordered.values()})
    file_bytes = size_of(source)
    if (needed := max(total_bytes, unpacked_bytes)) > file_bytes * _MOST_TIMES_LARGER + _ROOM_BYTES:
        raise PickleError(f"{file_bytes} bytes that would unpack to {needed}, as no checkpoint does")
    with path.open("xb") as sink, _Reader(source, places, path.parent) as reader:
        # Whether the disk has room shows at once.
        os.posix_fallocate(sink.fileno(), 0, len(header) + total_bytes)
        sink.write(header)
        written = _flushing(sink, advanced)
        for tensor in ordered.values():
            reader.copy(tensor, sink, written)
        sink.flush()
        os.fdatasync(sink.fileno())


def _flushing(sink: BinaryIO, advanced: Callable[[], None]) -> Callable[[], None]:
    """`advanced`, for which what is written goes to the disk by and by: all at the end would take minutes unseen."""
    flushed = 0

    def written() -> None:
        nonlocal flushed
        advanced()
        if (at := os.lseek(sink.fileno(), 0, os.SEEK_CUR)) - flushed >= _SENT_BYTES:
            os.fdatasync(sink.fileno())
            flushed = at
            advanced()

    return written


def size_bytes(tensor: PickledTensor) -> int:
    """Of its numbers alone."""
    return math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype]


def _order(item: tuple[str, PickledTensor]) -> tuple[bool, int, str]:
    name, tensor = item
    return size_bytes(tensor) % _LINE_BYTES != 0, -ITEM_BYTES[tensor.dtype], name


def _header(tensors: Mapping[str, PickledTensor], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {**metadata, "format": "pt"}}
    at = 0
    for name, tensor in tensors.items():
        end = at + size_bytes(tensor)
        entries[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _LINE_BYTES)
    if len(text) > _MOST_HEADER_BYTES:
        raise PickleError(f"the names of its tensors take more than {_MOST_HEADER_BYTES} bytes")
    return len(text).to_bytes(8, "little") + text


class _Reader:
    """The source's storages, of which those that are packed are unpacked once each, into a file without a name."""

    def __init__(self, source: BinaryIO, places: Mapping[str, Place], scratch: Path) -> None:
        self._source, self._places, self._scratch = source, places, scratch
        self._unpacked: dict[str, BinaryIO] = {}
        self._maps: dict[int, mmap.mmap] = {}
        self._open = ExitStack()

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._maps.clear()
        self._open.close()

    def copy(self, tensor: PickledTensor, sink: BinaryIO, advanced: Callable[[], None]) -> None:
        """Writes its numbers to the end of `sink`."""
        if not size_bytes(tensor):
            return
        place = self._places[tensor.storage.key]
        stream, start = self._stored(tensor.storage.key, place, advanced)
        start += tensor.storage.start + tensor.offset * ITEM_BYTES[tensor.dtype]
        if _is_contiguous(tensor) and not place.big_endian:
            _send(stream, start, size_bytes(tensor), sink, advanced)
        else:
            for numbers in self._gathered(tensor, stream, start):
                sink.write((numbers.byteswap() if place.big_endian else numbers).tobytes())
                advanced()

    def _stored(self, key: str, place: Place, advanced: Callable[[], None]) -> tuple[BinaryIO, int]:
        """The file that has the storage's bytes as they are, and where."""
        if place.deflated_bytes is None:
            return self._source, place.offset
        if key not in self._unpacked:
            stream = self._open.enter_context(TemporaryFile(dir=self._scratch))  # noqa: SIM115
            self._source.seek(place.offset)
            for chunk in inflate(self._source, place.deflated_bytes, place.size_bytes):
                stream.write(chunk)
                advanced()
            stream.flush()
            self._unpacked[key] = stream
        return self._unpacked[key], 0

    def _gathered(self, tensor: PickledTensor, stream: BinaryIO, start: int) -> Iterator[Numbers]:
        """Element by element in the order of its indices, some megabytes at a time."""
        item_bytes = ITEM_BYTES[tensor.dtype]
        if stream.fileno() not in self._maps:
            self._maps[stream.fileno()] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        whole = np.frombuffer(self._maps[stream.fileno()], np.uint8)
        strides = [stride * item_bytes for stride in tensor.strides]
        reach = sum((extent - 1) * stride for extent, stride in zip(tensor.shape, strides, strict=True)) + item_bytes
        if start + reach > len(whole):
            raise PickleError("cut short while it was read")
        items = whole[start : start + reach // item_bytes * item_bytes].view(f"<u{item_bytes}")
        view = np.lib.stride_tricks.as_strided(items, tensor.shape, strides, writeable=False)
        for chunk in np.nditer(view, ["external_loop", "buffered"], order="C", buffersize=_CHUNK_ELEMENTS):
            yield np.asarray(chunk)


def _is_contiguous(tensor: PickledTensor) -> bool:
    expected = 1
    for extent, stride in zip(reversed(tensor.shape), reversed(tensor.strides), strict=True):
        if extent != 1 and stride != expected:
            return False
        expected *= extent
    return True


def _send(stream: BinaryIO, start: int, count: int, sink: BinaryIO, advanced: Callable[[], None]) -> None:
    """From file to file, within the kernel."""
    sink.flush()
    while count:
        sent = os.sendfile(sink.fileno(), stream.fileno(), start, min(count, _SENT_BYTES))
        if not sent:
            raise PickleError("cut short while it was read")
        start += sent
        count -= sent
        advanced()
