"""Where the cache is, and folders in it that are complete or absent, whoever makes or removes them and dies.

Makers and removers of one folder wait for each other on a file lock, which the kernel drops with its holder; a folder
appears by one rename, and goes by one:

    with lock(root / f"{key}.lock"):
        with publishing(root, key) as building:
            (building / "graph.onnx").write_bytes(graph)

Lock files are never removed: whoever waits for one that is gone would hold a lock that nobody else sees.
What is made here is as open to its group, and as readable to others, as the folder it is made in: a cache may be
shared, whatever the umask of those who fill it. Servers' is 077.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from triptych.errors import FailedPreconditionError

MANIFEST_FILE = "manifest.json"
# Debian's home of those who have none: nothing is found there, and nothing can be made.
NO_HOME = Path("/nonexistent")
_MOST_MANIFEST_BYTES = 1_000_000
_POLL_S = 0.05


def cache_folder() -> Path:
    """Of what this process and those it starts may keep for the next one; it need not exist."""
    return Path(os.environ.get("TRIPTYCH_CACHE_DIR") or home() / ".cache/triptych")


@contextmanager
def keeping_in(folder: Path) -> Iterator[None]:
    """Has `cache_folder` mean this one, for the context and all it starts."""
    before = os.environ.get("TRIPTYCH_CACHE_DIR", "")
    os.environ["TRIPTYCH_CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        os.environ["TRIPTYCH_CACHE_DIR"] = before


def home() -> Path:
    """The user's own folder."""
    try:
        return Path.home()
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return NO_HOME


@contextmanager
def lock(path: Path, meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds an exclusive lock on the file, which is made if need be, as is its folder.

    `meanwhile` is called every once in a while as long as another holds it.
    FailedPreconditionError where nothing can be made there.
    """
    try:
        make_root(path.parent)
        stream = _open_lock(path)
    except OSError as error:
        problem = f"cache_dir: {path.parent} cannot be written: {error.strerror}"
        remedy = "name a folder that can be with --cache-dir or TRIPTYCH_CACHE_DIR"
        raise FailedPreconditionError(f"{problem}; {remedy}", field="cache_dir") from error
    try:
        while not _locks(stream, fcntl.LOCK_EX):
            meanwhile()
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(stream)


@contextmanager
def lock_if_free(path: Path) -> Iterator[bool]:
    """Like `lock`, but waits for nobody: False where another holds it."""
    stream = _open_lock(path)
    try:
        yield _locks(stream, fcntl.LOCK_EX)
    finally:
        os.close(stream)


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock at this moment, as far as can be told without writing anything."""
    try:
        stream = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _locks(stream, fcntl.LOCK_SH)
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(stream)


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
        for made in (building, *building.rglob("*")):
            open_like(root, made)
        building.rename(root / key)


def discard(root: Path, key: str) -> None:
    """Removes `root / key`, which leaves its place whole and at once; hold the key's lock."""
    scratch = Path(tempfile.mkdtemp(prefix=f"{key}.building-", dir=root))
    try:
        (root / key).rename(scratch / key)
    finally:
        shutil.rmtree(scratch)


def make_root(root: Path) -> None:
    """Makes the folder of one kind of artifacts unless it is there."""
    if not root.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        open_like(root.parent, root)


def open_like(root: Path, made: Path) -> None:
    """Gives a folder or a file the permissions of the folder `root`, as far as a cache gives any."""
    with suppress(OSError):  # a file system without permissions
        made.chmod(root.stat().st_mode & (0o2775 if made.is_dir() else 0o664))


def mark_used(folder: Path) -> None:
    """Notes in the manifest's time that the folder's artifact was taken; a cache that is read-only notes nothing."""
    with suppress(OSError):
        os.utime(folder / MANIFEST_FILE, follow_symlinks=False)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the folder's manifest says; empty where it is missing, damaged or absurdly large."""
    try:
        with (folder / MANIFEST_FILE).open("rb") as stream:
            manifest = json.loads(stream.read(_MOST_MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _open_lock(path: Path) -> int:
    """Open for writing, which network file systems want of an exclusive lock; never through a link."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        stream = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    open_like(path.parent, path)
    return stream


def _locks(stream: int, operation: int) -> bool:
    try:
        fcntl.flock(stream, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
