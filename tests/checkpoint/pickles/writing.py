"""Pickles as nobody should write them: instructions put together by hand, in torch's two kinds of file."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

MAGIC, VERSION, MACHINE = 0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}
Write = Callable[[Path, bytes], Path]


def as_zip(path: Path, program: bytes, storages: dict[str, bytes] | None = None, **extra: bytes) -> Path:
    """A file of today's kind, of this pickle and these storages."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", "3\n")
        for key, content in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", content)
        for name, content in extra.items():
            archive.writestr(f"archive/{name}", content)
    return path


def as_legacy(path: Path, program: bytes, storages: dict[str, bytes] | None = None, item_bytes: int = 4) -> Path:
    """A file of the kind before torch 1.6."""
    parts = [pickle.dumps(part, 2) for part in (MAGIC, VERSION, MACHINE)] + [program]
    parts.append(pickle.dumps(sorted(storages or {}), 2))
    parts += [
        struct.pack("<q", len(content) // item_bytes) + content for _, content in sorted((storages or {}).items())
    ]
    path.write_bytes(b"".join(parts))
    return path


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def number(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def call(callee: bytes, *arguments: bytes) -> bytes:
    return callee + tuple_of(*arguments) + b"R"


def storage(key: str = "0", count: int = 4, kind: str = "FloatStorage") -> bytes:
    """A reference to a storage."""
    return tuple_of(text("storage"), named("torch", kind), text(key), text("cpu"), number(count)) + b"Q"


def tensor(
    held: bytes, shape: tuple[int, ...] = (4,), strides: tuple[int, ...] = (1,), offset: int = 0, more: bytes = b""
) -> bytes:
    """What torch writes for a tensor."""
    extents = [tuple_of(*map(number, numbers)) for numbers in (shape, strides)]
    hooks = call(named("collections", "OrderedDict"))
    return call(named("torch._utils", "_rebuild_tensor_v2"), held, number(offset), *extents, b"\x89", hooks, more)


def program(**entries: bytes) -> bytes:
    """A pickled dict of these."""
    return b"\x80\x02}(" + b"".join(text(name) + entry for name, entry in entries.items()) + b"u."


# The numbers of a sound tensor, for what stands beside it.
NUMBERS = struct.pack("<4f", 1, 2, 3, 4)
SOUND = {"a": tensor(storage())}
