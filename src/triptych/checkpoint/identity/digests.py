"""The SHA-256 of what a checkpoint is: of its weights a single file's own, by which others know it, or a folder's.

A folder's is that of what `sha256sum` prints of its weights files, by their paths within it, in their order. What was
found is kept in the cache for as long as path, size and time of change are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
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
_SAFETY = ("safety_checker", "feature_extractor")
_IDLE = 19
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Digests:
    """In hexadecimal: of the weights; of another VAE's, "" where it has none; of all else that was read of either.

    `safety_checker` is that of all files of the one which was asked for, and in none of the others: what draws is the
    same with it and without it.
    """

    weights: str
    vae: str = ""
    settings: str = ""
    safety_checker: str = ""


def checkpoint_digests(source: Source) -> Digests:
    """Reads whole what it does not know, as who yields to everyone else.

    CheckpointChangedError where a file is not what the checkpoint was opened from, of which it would say nothing.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _IDLE)
    Fingerprint.of(source.states).check()
    vae = _weights(source.vae) if source.vae else ""
    digests = Digests(_weights(source), vae, _settings(source), _safety_checker(source))
    Fingerprint.of(source.states).check()
    return digests


def _weights(source: Source) -> str:
    if source.path.is_file():
        return file_digest(source.path)
    files = [path for path in _files(source) if path.suffix in _WEIGHTS]
    return _listed({path: file_digest(path, source.path) for path in files}, source.path)


def _settings(source: Source) -> str:
    """Configurations and tokenizers, which are small; and whatever lies in a folder beside a file."""
    sources = [source, *([source.vae] if source.vae else [])]
    lists = []
    for each in sources:
        found = {}
        for path in _files(each):
            if path.suffix not in _WEIGHTS:
                with open_file(path, each.path) as stream:
                    found[path] = _digest(stream)
        lists.append(_listed(found, each.path))
    if beside := source.beside:
        files = sorted(path for path in source.states if path.is_relative_to(beside))
        lists.append(_listed({path: file_digest(path, beside) for path in files}, beside))
    return hashlib.sha256("".join(lists).encode()).hexdigest()


def _safety_checker(source: Source) -> str:
    files = [path for path in _all_files(source) if _is_safety(path, source)]
    return _listed({path: file_digest(path, source.path) for path in files}, source.path) if files else ""


def _files(source: Source) -> list[Path]:
    """What draws, of what was read."""
    return [path for path in _all_files(source) if not _is_safety(path, source)]


def _all_files(source: Source) -> list[Path]:
    """What was read of a folder, and nothing of another VAE's; a single file is weights alone."""
    return sorted(path for path in source.states if path.is_relative_to(source.path) and path != source.path)


def _is_safety(path: Path, source: Source) -> bool:
    return path.relative_to(source.path).parts[0] in _SAFETY


def _listed(digests: Mapping[Path, str], root: Path) -> str:
    """Of what sha256sum prints of these files."""
    lines = (f"{digest}  {path.relative_to(root)}\n" for path, digest in digests.items())
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def tensors_digest(path: Path) -> str:
    """The SHA-256 of a safetensors file without its header, by which A1111 and others know a LoRA."""
    with open_file(path) as stream:
        stream.seek(8 + int.from_bytes(stream.read(8), "little"))
        return _digest(stream)


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
