"""Makes of a torch file one `.safetensors` in the cache, once for each content.

path = as_safetensors(Path("model.ckpt"), cache_dir)

A content is told by where it lies, its size, its time of change and its inode: to read it whole would take as long as
to convert it. A file that is being written to while it is read is refused.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

from triptych.cache_folders import MANIFEST_FILE, lock, mark_used, publishing, read_manifest
from triptych.checkpoint.opening import open_file, size_of
from triptych.checkpoint.pickles.archives.legacy_file import read_legacy
from triptych.checkpoint.pickles.archives.places import Place
from triptych.checkpoint.pickles.archives.zip_file import read_zip
from triptych.checkpoint.pickles.machine.byte_stream import PickleError
from triptych.checkpoint.pickles.state_dict import notes, parameters
from triptych.checkpoint.pickles.writing import write_safetensors
from triptych.checkpoint.recognition import ENOUGH_BYTES, is_pickle, recognized
from triptych.errors import CheckpointInvalidError, FailedPreconditionError, ResourceExhaustedError

CONVERTED, WEIGHTS_FILE = "converted", "model.safetensors"
# Part of every key: raise it when the same file gives another result.
_REVISION = 1
_ZIP = b"PK\3\4"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def as_safetensors(path: Path, cache_dir: Path, root: Path | None = None) -> Path:
    """The file in the cache that has the tensors of the torch file at `path`, converted first if need be.

    `root` is the directory that a link must not lead out of, see `open_file`. CheckpointInvalidError names the file and
    what is wrong with it; ResourceExhaustedError and FailedPreconditionError name the folder that is full or read-only.
    """
    try:
        with open_file(path, root) as source:
            return _converted(path, source, cache_dir / CONVERTED)
    except PickleError as error:
        raise CheckpointInvalidError(f"{path}: {_told(str(error))}", file=str(path)) from error
    except OSError as error:
        raise _failed(path, cache_dir, error) from error


def _converted(path: Path, source: BinaryIO, folder: Path) -> Path:
    key = _key(path, source)
    made = folder / key / WEIGHTS_FILE
    if not _is_sound(made):
        with lock(folder / f"{key}.lock"):
            if not _is_sound(made):
                _convert(path, source, folder, key)
    mark_used(made.parent)
    return made


def _key(path: Path, source: BinaryIO) -> str:
    state = os.fstat(source.fileno())
    told = [_REVISION, str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino]
    return f"weights-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]}"


def _is_sound(made: Path) -> bool:
    try:
        return made.stat().st_size == read_manifest(made.parent).get("size_bytes")
    except OSError:
        return False


def _convert(path: Path, source: BinaryIO, folder: Path, key: str) -> None:
    value, places = _read(source)
    tensors = parameters(value)
    with publishing(folder, key) as building:
        write_safetensors(source, tensors, places, notes(value), building / WEIGHTS_FILE)
        if _key(path, source) != key:
            raise PickleError("it was written to while it was read; wait until that has ended")
        size_bytes = (building / WEIGHTS_FILE).stat().st_size
        manifest = {"source": str(path), "size_bytes": size_bytes, "tensors": len(tensors)}
        (building / MANIFEST_FILE).write_text(json.dumps(manifest))


def _read(source: BinaryIO) -> tuple[object, dict[str, Place]]:
    begin = source.read(ENOUGH_BYTES)
    source.seek(0)
    if not is_pickle(begin):
        raise PickleError(recognized(begin) or "no file of torch's")
    return (read_zip if begin.startswith(_ZIP) else read_legacy)(source, size_of(source))


def _told(problem: str) -> str:
    if problem.endswith("as an attack does"):
        return f"{problem}; nothing of it was run. Get the checkpoint from a source that you trust, as .safetensors"
    return problem


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
