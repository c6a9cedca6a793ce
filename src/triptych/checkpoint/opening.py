"""Opens files that strangers chose: regular ones only, and none outside of the directory that they came in.

with open_file(folder / "config.json", root) as stream: ...

A file is opened as a mere place first (O_PATH), which neither blocks nor wakes a device; what it is and where it lies
is then asked of that descriptor, so that nobody can exchange it in between.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from triptych.errors import CheckpointInvalidError


def open_file(path: Path, root: Path | None = None) -> BinaryIO:
    """The file at `path` for reading; `root` is the directory that links must not lead out of, None where any may.

    OSError where it cannot be opened, CheckpointInvalidError where it must not be.
    """
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if not path.is_symlink():
            raise
        problem = f"a link to {path.readlink()}, where nothing is; put the file itself there"
        raise CheckpointInvalidError(f"{path}: {problem}", file=str(path)) from error
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise CheckpointInvalidError(f"{path}: not a regular file", file=str(path))
        here = Path("/proc/self/fd", str(place))
        if root is not None and not _belongs_to(root.resolve(), here.readlink()):
            problem = (
                f"a link leads out of {root}; put the file itself there (only a hub's cache may link to its blobs)"
            )
            raise CheckpointInvalidError(f"{path}: {problem}", file=str(path))
        return os.fdopen(os.open(here, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    finally:
        os.close(place)


def read_whole(stream: BinaryIO, most_bytes: int) -> bytes | None:
    """What the file holds by its own account, for those of a kernel's log claim nothing and never end; None if more."""
    size_bytes = size_of(stream)
    return None if size_bytes > most_bytes else stream.read(size_bytes)


def size_of(stream: BinaryIO) -> int:
    """Bytes of an open file."""
    return os.fstat(stream.fileno()).st_size


def _belongs_to(root: Path, place: Path) -> bool:
    return place.is_relative_to(root) or any(place.is_relative_to(blobs) for blobs in _hub_blobs(root))


def _hub_blobs(root: Path) -> Iterator[Path]:
    """A hub's cache keeps files as models--OWNER--NAME/blobs/DIGEST, and links to them from its snapshots/REVISION."""
    for folder in (root, *root.parents):
        if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
            yield folder.parent.parent / "blobs"
