"""Folders for what nobody needs once a stack has ended: private, locked while in use, removed even after a kill.

with TemporaryFolder(run_dir) as folder:
    (folder.path / "lib").mkdir()
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triptych.embedded.folders.shm import remove_regions

PREFIX, LOCK = "triptych-tmp-", ".in-use"


class TemporaryFolder:
    """In `within` or else where temporary files go, under an ASCII name, for Triton's Python knows no other."""

    def __init__(self, within: Path | None = None) -> None:
        root = _root(within)
        root.mkdir(parents=True, exist_ok=True)
        remove_abandoned(root)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        # Locked before it has the name that `remove_abandoned` looks for.
        unnamed = self.path / f"{LOCK}.new"
        self._lock = unnamed.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / LOCK)

    def close(self, keep: bool = False) -> None:
        """Removes it with all that is in it, or leaves that to the next that is made."""
        if not keep:
            remove(self.path)
        self._lock.close()

    def __enter__(self) -> TemporaryFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def remove_abandoned(root: Path) -> None:
    """Removes this user's folders whose owner was killed, and the shared memory that is named after them.

    The kernel has let go of their locks.
    """
    for folder in root.glob(f"{PREFIX}*"):
        try:
            if folder.lstat().st_uid != os.geteuid():
                continue
            with (folder / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_regions(folder.name)
                remove(folder)
        except OSError:  # in use, just made, or just removed
            continue


def _root(within: Path | None) -> Path:
    roots = [*([within] if within else []), Path(tempfile.gettempdir()), Path("/tmp")]
    return next(root for root in map(Path.absolute, roots) if str(root).isascii())


@contextmanager
def private_temporary_files() -> Iterator[None]:
    """Gives this process, and all that it starts meanwhile, a TMPDIR of its own.

    ONNX Runtime and torch write there under well-known names, through a link that another user put there.
    """
    before = os.environ.get("TMPDIR")
    with TemporaryFolder() as folder:
        os.environ["TMPDIR"] = str(folder.path)
        try:
            yield
        finally:
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before


def make_private(folder: Path) -> None:
    """An empty folder for this user alone, in place of what was there."""
    remove(folder)
    folder.mkdir(mode=0o700, parents=True)


def remove(folder: Path) -> None:
    """Removes a folder, and those of Triton that stages left links to: it makes them in /tmp, whatever TMPDIR says."""
    for link in folder.rglob("folder*"):
        if link.is_symlink() and link.readlink() == Path("/tmp") / link.name:
            shutil.rmtree(Path("/tmp") / link.name, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
