"""The SHA-256 of a checkpoint's weights: a single file's own, by which the community knows it, or a folder's.

A folder's is that of what `sha256sum` prints of its weights files, by their paths within it, in their order. What was
found is kept in the cache for as long as path, size and time of change are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from triptych.cache_folders import cache_folder
from triptych.checkpoint.identity.fingerprint import FileState, Fingerprint
from triptych.checkpoint.opening import open_file
from triptych.checkpoint.sources import Source
from triptych.errors import CheckpointInvalidError

SHORT_LETTERS = 10
"""Of what AUTOMATIC1111's web UI calls a model's hash."""

_FOLDER = "hashes"
_WEIGHTS = (".safetensors", ".bin")
_IDLE = 19
_CHUNK_BYTES = 1 << 20


def checkpoint_digest(source: Source) -> str:
    """In hexadecimal; reads whole what it does not know, as who yields to everyone else.

    CheckpointChangedError where a file is not what the checkpoint was opened from, of which it would say nothing.
    """
    Fingerprint.of(source.states).check()
    digest = _digest_of(source)
    Fingerprint.of(source.states).check()
    return digest


def _digest_of(source: Source) -> str:
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _IDLE)
    if source.path.is_file():
        return file_digest(source.path)
    own = (path for path in source.states if path.is_relative_to(source.path))  # and none of another VAE's
    files = sorted(path for path in own if path.suffix in _WEIGHTS)
    lines = (f"{file_digest(path, source.path)}  {path.relative_to(source.path)}\n" for path in files)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def file_digest(path: Path, root: Path | None = None) -> str:
    """One file's, from the cache or else from its bytes; `root` as for `open_file`.

    CheckpointInvalidError where it cannot be read, or is written to meanwhile.
    """
    try:
        state = FileState.of(path)
        if known := _known(path, state):
            return known
        with open_file(path, root) as stream:
            digest = _digest(stream)
        if FileState.of(path) != state:
            raise CheckpointInvalidError(f"{path}: was changed while its SHA-256 was computed", file=str(path))
    except OSError as error:
        raise CheckpointInvalidError(f"{path}: {error.strerror or error}", file=str(path)) from error
    with suppress(OSError):  # a cache that is full or read-only costs the time of another reading
        _keep(path, state, digest)
    return digest


def _digest(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _place(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:24]
    return cache_folder() / _FOLDER / f"{name}.json"


def _told(state: FileState) -> dict[str, int]:
    return {"size_bytes": state.size_bytes, "changed_ns": state.changed_ns}


def _known(path: Path, state: FileState) -> str:
    try:
        kept = json.loads(_place(path).read_bytes())
        return str(kept["sha256"]) if kept["state"] == _told(state) else ""
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def _keep(path: Path, state: FileState, digest: str) -> None:
    place = _place(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_suffix(f".{uuid4().hex}")
    scratch.write_text(json.dumps({"path": os.fspath(path), "state": _told(state), "sha256": digest}))
    scratch.replace(place)
