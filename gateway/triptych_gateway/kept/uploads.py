"""Files of any size, brought in pieces: each may come after a break, a restart of the gateway, or to another one.

upload = await uploads.begin(caller, kind="lora", name="ink.safetensors", size=1000, sha256=None)
upload = await uploads.append(caller, upload.id, 0, pieces)
path = await uploads.path(caller, upload.id, "lora")

`<owner>/<id>.json` says what is to come, `<id>.part` is what has come, and `<id>.whole<suffix>` what is complete.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from triptych.errors import FailedPreconditionError, NotFoundError, ResourceExhaustedError, invalid
from triptych_gateway.caller import Caller
from triptych_gateway.kept.records import is_id, kept_errors, new_id, owner_of, read_record, write_record
from triptych_gateway.settings import Settings

MODEL_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".onnx")
KINDS = (
    "checkpoint", "lora", "vae", "upscaler", "controlnet", "preprocessor", "ip_adapter", "image_encoder", "image",
)  # fmt: skip
_WRITE_BYTES = 1 << 20


@dataclass(frozen=True)
class Upload:
    """A file that comes, or has come; `offset` of its bytes are here."""

    id: str
    kind: str
    name: str
    size: int
    sha256: str  # in hexadecimal; "" where it was not told, until it is known
    suffix: str
    offset: int = 0
    is_complete: bool = False


_ANY = Upload("", "", "", 0, "", "")


class Uploads:
    """All of one folder; callers see their own."""

    def __init__(self, folder: Path, max_bytes: int, max_count: int, idle_s: float) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._idle_s = idle_s

    async def begin(self, caller: Caller, *, kind: str, name: str, size: int, sha256: str | None) -> Upload:
        """InvalidArgumentError about the field that is wrong; ResourceExhaustedError where there are too many."""
        if size > self._max_bytes:
            raise invalid("size", f"{size} is more than the {self._max_bytes} bytes that a file may have here")
        suffix = Path(name).suffix.lower()
        if kind == "image":
            suffix = ""
        elif suffix not in MODEL_SUFFIXES:
            raise invalid("name", f"must end with one of {', '.join(MODEL_SUFFIXES)}, which says how it is read")
        upload = Upload(new_id(), kind, name, size, (sha256 or "").lower(), suffix)
        await asyncio.to_thread(self._begin, owner_of(caller), upload)
        return upload

    async def find(self, caller: Caller, upload_id: str) -> Upload:
        """NotFoundError where this caller has none of that id."""
        found = await asyncio.to_thread(self._found, owner_of(caller), upload_id) if is_id(upload_id) else None
        if found is None:
            raise NotFoundError(f"there is no upload {upload_id!r}; it may have been used, or have lain still too long")
        return found

    async def append(self, caller: Caller, upload_id: str, offset: int, pieces: AsyncIterable[bytes]) -> Upload:
        """Writes what comes, as far as it comes; the last bytes bring the check of the whole."""
        upload = await self.find(caller, upload_id)
        if upload.is_complete:
            raise FailedPreconditionError("offset: the upload is complete", field="offset", offset=str(upload.size))
        part = self._path(caller, upload, ".part")
        with _held(part) as stream:
            there = await asyncio.to_thread(stream.seek, 0, os.SEEK_END)
            if offset != there:
                problem = f"offset: {offset} is not where the upload stands; go on at {there}"
                raise FailedPreconditionError(problem, field="offset", offset=str(there))
            await _write(stream, pieces, upload.size - there)
            if await asyncio.to_thread(stream.seek, 0, os.SEEK_END) == upload.size:
                await asyncio.to_thread(self._complete, owner_of(caller), upload)
        return await self.find(caller, upload_id)

    async def path(self, caller: Caller, upload_id: str, *kinds: str) -> Path:
        """Where a complete one is; errors are about the field `upload`."""
        upload = await self.find(caller, upload_id)
        if upload.kind not in kinds:
            raise invalid("upload", f"is of the kind {upload.kind}; here it must be {' or '.join(kinds)}")
        if not upload.is_complete:
            problem = f"upload: {upload.offset} of {upload.size} bytes are here; send the rest first"
            raise FailedPreconditionError(problem, field="upload")
        return self._path(caller, upload, f".whole{upload.suffix}")

    async def remove(self, caller: Caller, upload_id: str) -> None:
        """Forgets it; what was made of it stays."""
        upload = await self.find(caller, upload_id)
        await asyncio.to_thread(_delete, self._path(caller, upload, ".json"))

    async def sweep(self) -> None:
        """Deletes, of all owners, what has lain still for too long."""
        await asyncio.to_thread(self._sweep)

    def _path(self, caller: Caller, upload: Upload, suffix: str) -> Path:
        return self._folder / owner_of(caller) / f"{upload.id}{suffix}"

    def _begin(self, owner: str, upload: Upload) -> None:
        if len([*self._folder.glob("*/*.json")]) >= self._max_count:
            problem = f"there are {self._max_count} uploads already; use or delete some"
            raise ResourceExhaustedError(problem)
        write_record(self._folder / owner / f"{upload.id}.json", asdict(upload))
        with kept_errors(self._folder / owner):
            (self._folder / owner / f"{upload.id}.part").touch()

    def _found(self, owner: str, upload_id: str) -> Upload | None:
        path = self._folder / owner / f"{upload_id}.json"
        record = read_record(path)
        if record is None or record.keys() != vars(_ANY).keys():
            return None
        whole = path.with_suffix(f".whole{record['suffix']}").exists()
        part = path.with_suffix(".part")
        offset = record["size"] if whole else part.stat().st_size if part.exists() else 0
        return Upload(**record | {"offset": offset, "is_complete": whole})

    def _complete(self, owner: str, upload: Upload) -> None:
        record = self._folder / owner / f"{upload.id}.json"
        part = record.with_suffix(".part")
        with part.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if upload.sha256 not in ("", digest):
            _delete(record)
            raise invalid("sha256", f"what came has {digest}, not {upload.sha256}; begin again")
        write_record(record, asdict(upload) | {"sha256": digest})
        part.rename(record.with_suffix(f".whole{upload.suffix}"))

    def _sweep(self) -> None:
        for record in self._folder.glob("*/*.json"):
            files = [*record.parent.glob(f"{record.stem}.*")]
            if max(_changed_s(file) for file in files) < time.time() - self._idle_s:
                _delete(record)


async def _write(stream: BinaryIO, pieces: AsyncIterable[bytes], left: int) -> None:
    waiting = bytearray()
    try:
        async for piece in pieces:
            waiting += piece
            if len(waiting) > left:
                raise invalid("size", "more came than was told; what was told has been kept")
            if len(waiting) >= _WRITE_BYTES:
                left -= len(waiting)
                await _flush(stream, waiting)
    except BaseException:
        _append(stream, bytes(waiting[:left]))  # of who left, too: it need not be sent again
        raise
    await _flush(stream, waiting)


async def _flush(stream: BinaryIO, waiting: bytearray) -> None:
    taken = bytes(waiting)
    waiting.clear()
    await asyncio.to_thread(_append, stream, taken)


def _append(stream: BinaryIO, taken: bytes) -> None:
    with kept_errors(Path(stream.name).parent):
        stream.write(taken)
        stream.flush()


@contextmanager
def _held(part: Path) -> Iterator[BinaryIO]:
    """The file for one writer at a time, of all gateways."""
    try:
        stream = part.open("r+b")
    except FileNotFoundError:
        raise NotFoundError("there is no such upload any more") from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FailedPreconditionError("another request is sending this upload; wait for its end") from None
        yield stream


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _delete(record: Path) -> None:
    for path in [record, *record.parent.glob(f"{record.stem}.*")]:
        path.unlink(missing_ok=True)


def kept_uploads(settings: Settings) -> Uploads:
    """Those of a gateway."""
    kept = settings.kept
    return Uploads(settings.state_dir / "uploads", kept.max_upload_bytes, kept.max_uploads, kept.upload_idle_s)
