"""Whether a checkpoint's files are still those that it was opened from, by what file systems say: no byte is read.

told = checkpoint.fingerprint().text()          # the orchestrator's, which travels to the stages
Fingerprint.from_text(told).check()             # CheckpointChangedError, once a file is another
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from triptych.contract.paths import path_from_text, told_path
from triptych.errors import CheckpointChangedError, invalid

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class FileState(NamedTuple):
    """What a file system says of one file."""

    device: int
    inode: int
    size_bytes: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """As it is now, links followed; OSError where there is nothing."""
        found = path.stat()
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Fingerprint:
    """The states of files by their paths, as one machine saw them; what is `missing` would be read if it were there."""

    files: Mapping[Path, FileState]
    machine: str
    missing: frozenset[Path] = frozenset()

    @classmethod
    def of(cls, files: Mapping[Path, FileState], missing: Collection[Path] = ()) -> Fingerprint:
        """Of states that were seen here."""
        return cls(dict(files), _machine(), frozenset(missing))

    @classmethod
    def from_text(cls, text: str) -> Fingerprint:
        """The inverse of `text`; InvalidArgumentError for anything else."""
        try:
            told = json.loads(text)
            files = {path_from_text(path): FileState(*map(int, state)) for path, state in told["files"].items()}
            return cls(files, str(told["machine"]), frozenset(map(path_from_text, told.get("missing", ()))))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise invalid("fingerprint", f"is none: {error}") from error

    def text(self) -> str:
        """For another process, here or on another machine."""
        files = {told_path("path", path): state for path, state in self.files.items()}
        missing = sorted(told_path("path", path) for path in self.missing)
        return json.dumps({"machine": self.machine, "files": files, "missing": missing}, separators=(",", ":"))

    def check(self, read: Collection[Path] = ()) -> None:
        """CheckpointChangedError about the first file that is gone or another by now, or that was not there before.

        `read` are files that have been read of what should be the same, and may be none but these.
        """
        for path in (*(path for path in read if path not in self.files), *filter(Path.is_file, self.missing)):
            raise _changed(path, "was not there when the checkpoint was registered, and would be read now")
        is_here = self.machine == _machine()
        for path, told in self.files.items():
            try:
                found = FileState.of(path)
            except OSError as error:
                raise _changed(path, f"cannot be found any more: {error.strerror or error}") from error
            if not _same(told, found, is_here):
                raise _changed(path, "is another file now than when the checkpoint was registered")


def _machine() -> str:
    """The same for all processes that one kernel runs, in whichever container."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _same(told: FileState, found: FileState, is_here: bool) -> bool:
    """Elsewhere a copy has another inode, and the same file under another mount another device."""
    if (told.size_bytes, told.changed_ns) != (found.size_bytes, found.changed_ns):
        return False
    return not is_here or told.device != found.device or told.inode == found.inode


def _changed(path: Path, problem: str) -> CheckpointChangedError:
    remedy = (
        "what is loaded serves on as it was, and nothing more is loaded of it. Register it again under its name, by "
        "`triptych checkpoints add NAME PATH`, to have the new one everywhere. (A copy of its own that a stage has "
        "must keep the times of change: rsync -a)"
    )
    return CheckpointChangedError(f"{path}: {problem}; {remedy}", file=str(path))
