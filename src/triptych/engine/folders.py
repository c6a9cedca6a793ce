"""Folders of a cache that are complete or absent, whoever makes them and dies.

Makers of one folder wait for each other on a file lock, which the kernel drops with its holder; a folder appears by
one rename:

    with lock(root / f"{key}.lock"):
        with publishing(root, key) as building:
            (building / "graph.onnx").write_bytes(graph)
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file, which is made if need be."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def publishing(root: Path, key: str) -> Iterator[Path]:
    """An empty folder that becomes `root / key` if the block ends well, and else nothing; hold the key's lock."""
    # What a maker that was killed left, and a damaged folder. The lock is held: nobody else makes this one now.
    for leftover in (*root.glob(f"{key}.building-*"), root / key):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{key}.building-", dir=root, ignore_cleanup_errors=True) as scratch:
        building = Path(scratch) / key
        building.mkdir()
        yield building
        building.rename(root / key)
