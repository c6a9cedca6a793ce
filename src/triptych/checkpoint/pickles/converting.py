"""Makes of a torch file one `.safetensors` in the cache, once for each content.

path = as_safetensors(Path("model.ckpt"))

A content is told by its inode, its size and its time of change: to read it whole would take as long as to convert it.
A file that is being written to while it is read is refused.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from triptych.cache_folders import MANIFEST_FILE, cache_folder, lock, mark_used, publishing, read_manifest
from triptych.checkpoint.opening import open_file, size_of
from triptych.checkpoint.pickles.advance import advancing
from triptych.checkpoint.pickles.archives.legacy_file import read_legacy
from triptych.checkpoint.pickles.archives.places import Place
from triptych.checkpoint.pickles.archives.zip_file import read_zip
from triptych.checkpoint.pickles.machine.byte_stream import PickleError
from triptych.checkpoint.pickles.machine.values import PickledTensor
from triptych.checkpoint.pickles.state_dict import notes, parameters
from triptych.checkpoint.pickles.writing import write_safetensors
from triptych.checkpoint.recognition import ENOUGH_BYTES, is_pickle
from triptych.errors import CheckpointInvalidError, FailedPreconditionError, ResourceExhaustedError

CONVERTED, WEIGHTS, WEIGHTS_FILE = "converted", "weights", "model.safetensors"
# Part of every key: raise it when the same file gives another result.
_REVISION = 1
_ZIP = b"PK\3\4"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def as_safetensors(path: Path, cache_dir: Path | None = None, root: Path | None = None) -> Path:
    """The file in the cache that has the tensors of the torch file at `path`, converted first if need be.

    One that is no pickle by its first bytes is its own; so is what is called safetensors, which is refused by whoever
    reads it if it is a pickle: its owner took it for something else. `root` is the directory that a link must not lead
    out of, see `open_file`. CheckpointInvalidError names the file and what is wrong with it; ResourceExhaustedError and
    FailedPreconditionError name the folder that is full or read-only.
    """
    if path.suffix == ".safetensors":
        return path
    cache_dir = cache_dir or cache_folder()
    try:
        with open_file(path, root) as source, _naming(path):
            return _converted(path, source, cache_dir / CONVERTED) if _is_pickle(source) else path
    except OSError as error:
        raise _failed(path, cache_dir, error) from error


def convert(path: Path, target: Path) -> bool:
    """Writes the tensors of a torch file to the new file `target`, outside of any cache; False where it is no pickle.

    CheckpointInvalidError as for `as_safetensors`, OSError where nothing can be written.
    """
    with open_file(path) as source, _naming(path):
        if not _is_pickle(source):
            return False
        value, places = _read(source)
        write_safetensors(source, parameters(value), places, notes(value), target)
    return True


def _is_pickle(source: BinaryIO) -> bool:
    begin = source.read(ENOUGH_BYTES)
    source.seek(0)
    return is_pickle(begin)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Says of the file what is wrong with a pickle."""
    try:
        yield
    except PickleError as error:
        problem = str(error)
        if problem.endswith("as an attack does"):
            problem += "; nothing of it was run. Get the file from a source that you trust, as .safetensors"
        raise CheckpointInvalidError(f"{path}: {problem}", file=str(path)) from error


def _converted(path: Path, source: BinaryIO, folder: Path) -> Path:
    key = _key(source)
    made = folder / key / WEIGHTS_FILE
    if not is_sound(made.parent):
        value, places = _read(source)
        tensors = parameters(value)  # before anything is made, the lock too: what is refused leaves nothing
        with advancing(path) as advanced, lock(folder / f"{key}.lock", _watching(folder, key, advanced)):
            if not is_sound(made.parent):
                _publish(path, source, folder / key, tensors, places, notes(value), advanced)
    mark_used(made.parent)
    return made


def _watching(folder: Path, key: str, advanced: Callable[[], None]) -> Callable[[], None]:
    """Says that it gets on whenever another does, in another process or by another path, that converts the same."""
    seen: set[int] = set()

    def look() -> None:
        for building in folder.glob(f"{key}.building-*/{key}"):
            with suppress(OSError):
                if (marked := building.stat().st_mtime_ns) not in seen:
                    seen.add(marked)
                    advanced()

    return look


def _key(source: BinaryIO) -> str:
    state = os.fstat(source.fileno())
    told = [_REVISION, state.st_size, state.st_mtime_ns, state.st_dev, state.st_ino]
    return f"{WEIGHTS}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]}"


def is_sound(folder: Path) -> bool:
    """Whether the file in a folder of the cache is as large as its manifest says."""
    try:
        return bool((folder / WEIGHTS_FILE).stat().st_size == read_manifest(folder).get("size_bytes"))
    except OSError:
        return False


def _publish(
    path: Path,
    source: BinaryIO,
    target: Path,
    tensors: Mapping[str, PickledTensor],
    places: Mapping[str, Place],
    metadata: Mapping[str, str],
    advanced: Callable[[], None],
) -> None:
    with publishing(target.parent, target.name) as building:

        def marked() -> None:
            advanced()
            os.utime(building)  # for those who wait, see `_watching`

        write_safetensors(source, tensors, places, metadata, building / WEIGHTS_FILE, marked)
        if _key(source) != target.name:
            raise PickleError("it was written to while it was read; wait until that has ended")
        size_bytes = (building / WEIGHTS_FILE).stat().st_size
        manifest = {"source": path.name, "size_bytes": size_bytes, "tensors": len(tensors)}
        (building / MANIFEST_FILE).write_text(json.dumps(manifest))


def _read(source: BinaryIO) -> tuple[object, dict[str, Place]]:
    is_zip = source.read(len(_ZIP)) == _ZIP
    source.seek(0)
    return (read_zip if is_zip else read_legacy)(source, size_of(source))


def _failed(path: Path, cache_dir: Path, error: OSError) -> Exception:
    if error.errno in _FULL:
        problem = f"cache_dir: {cache_dir} is full: no room for what {path} converts to"
        remedy = "make some there, or name another folder with --cache-dir or TRIPTYCH_CACHE_DIR"
        return ResourceExhaustedError(f"{problem}; {remedy}", field="cache_dir")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) and str(error.filename or "").startswith(str(cache_dir)):
        problem = f"cache_dir: {cache_dir} cannot be written: {error.strerror}"
        remedy = "name a folder that can be with --cache-dir or TRIPTYCH_CACHE_DIR"
        return FailedPreconditionError(f"{problem}; {remedy}", field="cache_dir")
    return CheckpointInvalidError(f"{path}: cannot be read: {error.strerror or error}", file=str(path))
