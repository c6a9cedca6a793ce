"""Where each tensor of a safetensors file lies, and a read-only map of it: no copy, nothing executed.

The format: 8 bytes of header length, little-endian; a JSON header; the tensors' bytes
(https://github.com/huggingface/safetensors#format). A checkpoint comes from strangers, so every number is checked.
"""

from __future__ import annotations

import math
import mmap
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from triptych.checkpoint.json_text import parse_json
from triptych.checkpoint.opening import open_file, size_of
from triptych.checkpoint.recognition import ENOUGH_BYTES, recognized
from triptych.errors import CheckpointInvalidError

# The format allows 100 MB, which as JSON objects would take gigabytes; a large model's header is a tenth of a megabyte.
_HEADER_LIMIT_BYTES = 8_000_000
# Beyond these, checking that a shape fits its bytes would itself take long.
_MOST_DIMENSIONS = 8
_LARGEST_EXTENT = 1 << 48
_NUMPY: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
# Of types that came to the format since, such as C64 and F8_E8M0; a file may have some that nobody needs here.
_DTYPE = re.compile(r"[A-Z][A-Z0-9_]{0,19}")
_METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor's place: `offset_bytes` from the start of `path`.

    `transposed`: a matrix that the file has the other way round, its columns being rows there.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset_bytes: int
    size_bytes: int
    transposed: bool = False

    def reshaped(self, *shape: int) -> TensorInfo:
        """The same bytes in another shape of as many elements."""
        return replace(self, shape=shape)

    def rows(self, begin: int, end: int) -> TensorInfo:
        """Those of its first dimension, which must be there."""
        row_bytes = self.size_bytes // self.shape[0]
        return replace(
            self,
            shape=(end - begin, *self.shape[1:]),
            offset_bytes=self.offset_bytes + begin * row_bytes,
            size_bytes=(end - begin) * row_bytes,
        )

    def turned(self) -> TensorInfo:
        """A matrix with rows for columns."""
        return replace(self, shape=self.shape[::-1], transposed=not self.transposed)

    @property
    def is_aligned(self) -> bool:
        """Whether it can be read by whole words where it lies; files need not see to that."""
        return not self.is_readable or self.offset_bytes % _NUMPY[self.dtype].itemsize == 0

    @property
    def is_readable(self) -> bool:
        """Whether its numbers are of a type that is known here."""
        return self.dtype in _NUMPY


def read_header(path: Path, root: Path | None = None) -> dict[str, TensorInfo]:
    """Every tensor of a file by name; CheckpointInvalidError, naming the file, if anything does not add up.

    `root` is the directory that a link must not lead out of, see `open_file`.
    """
    header, start, size_bytes = _read_json(path, root)
    return _tensors(path, header, start, size_bytes)


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that whoever wrote the file put in its header; {} if there are none. Errors as for `read_header`."""
    return _metadata(path, _read_json(path)[0])


def read_contents(path: Path) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """`read_header` and `read_metadata` at once, of a file that may be a link to anywhere."""
    header, start, size_bytes = _read_json(path)
    return _tensors(path, header, start, size_bytes), _metadata(path, header)


def _tensors(path: Path, header: dict[str, Any], start: int, size_bytes: int) -> dict[str, TensorInfo]:
    entries = {name: entry for name, entry in header.items() if name != _METADATA}
    tensors = {name: _tensor_info(path, name, entry, start, size_bytes) for name, entry in entries.items()}
    end = start
    for name, info in sorted(tensors.items(), key=lambda item: item[1].offset_bytes):
        if info.size_bytes and info.offset_bytes < end:
            raise CheckpointInvalidError(f"{path}: tensor {name} overlaps another", file=str(path))
        end = max(end, info.offset_bytes + info.size_bytes)
    return tensors


def _metadata(path: Path, header: dict[str, Any]) -> dict[str, str]:
    metadata = header.get(_METADATA) or {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise CheckpointInvalidError(f"{path}: its safetensors metadata is no object of texts", file=str(path))
    return metadata


def _read_json(path: Path, root: Path | None = None) -> tuple[dict[str, Any], int, int]:
    """The header, where the tensors' bytes start, and the file's size."""
    try:
        with open_file(path, root) as stream:
            size_bytes = size_of(stream)
            begin = stream.read(min(size_bytes, ENOUGH_BYTES))
            length = int.from_bytes(begin[:8], "little")
            if problem := _no_header(begin, length, size_bytes):
                raise CheckpointInvalidError(f"{path}: {problem}", file=str(path))
            stream.seek(8)
            header = parse_json(stream.read(length))
    except (OSError, ValueError) as error:
        raise CheckpointInvalidError(f"{path}: no safetensors header can be read: {error}", file=str(path)) from error
    if not isinstance(header, dict):
        raise CheckpointInvalidError(f"{path}: the safetensors header is no object", file=str(path))
    return header, 8 + length, size_bytes


def _no_header(begin: bytes, length: int, size_bytes: int) -> str:
    """Why no header follows the first bytes; "" where one may."""
    if 0 < length <= min(_HEADER_LIMIT_BYTES, size_bytes - 8):
        return ""
    if kind := recognized(begin):
        return kind
    if 0 < length <= _HEADER_LIMIT_BYTES:
        return f"cut short: it has {size_bytes} bytes, and its header alone {length}; download it again"
    return "not a safetensors file"


def _tensor_info(path: Path, name: str, entry: object, start: int, file_bytes: int) -> TensorInfo:
    try:
        if not isinstance(entry, dict):
            raise ValueError("its entry is no object")
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        if not (isinstance(dtype, str) and _DTYPE.fullmatch(dtype)):
            raise ValueError(f"dtype {str(dtype)[:100]!r} is not one of {', '.join(_NUMPY)}")
        if len(shape) > _MOST_DIMENSIONS:
            raise ValueError(f"it has {len(shape)} dimensions")
        numbers = (*shape, begin, end)
        if {*map(type, numbers)} != {int} or min(numbers) < 0 or max(numbers) > _LARGEST_EXTENT:
            raise ValueError("shape and offsets must be whole numbers of at least 0")
        if begin > end or (dtype in _NUMPY and end - begin != math.prod(shape) * _NUMPY[dtype].itemsize):
            raise ValueError("its bytes do not fit its shape")
        if start + end > file_bytes:
            raise ValueError(
                f"ends at byte {start + end}, but the file is cut short at {file_bytes}; download it again"
            )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointInvalidError(f"{path}: tensor {str(name)[:100]}: {error}", file=str(path)) from error
    return TensorInfo(path, dtype, shape, start + begin, end - begin)


def map_file(path: Path) -> mmap.mmap:
    """The whole file, to be read."""
    with open_file(path) as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def map_tensor(info: TensorInfo, maps: dict[Path, mmap.mmap]) -> npt.NDArray[np.generic]:
    """A tensor as a read-only view into the mapped file (bfloat16 and 8-bit floats: as `ml_dtypes` has them).

    One that is not aligned is copied. `maps` keeps one map per file; drop it, and the arrays, to let the pages go.
    CheckpointInvalidError where the type is not known here.
    """
    if not info.is_readable:
        raise CheckpointInvalidError(f"{info.path}: dtype {info.dtype} cannot be read", file=str(info.path))
    if info.path not in maps:
        maps[info.path] = map_file(info.path)
    dtype = _NUMPY[info.dtype]
    count = info.size_bytes // dtype.itemsize
    array = np.frombuffer(maps[info.path], dtype, count, info.offset_bytes)
    if not info.is_aligned:
        array = array.copy()
    return array.reshape(info.shape[::-1]).T if info.transposed else array.reshape(info.shape)
