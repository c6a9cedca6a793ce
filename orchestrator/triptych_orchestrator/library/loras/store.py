"""The files of LoRAs in a folder of this one server, each under the SHA-256 of its content while anybody needs it.

async with store.receive(chunks) as part, store.hold(part.digest):
    store.keep(part)
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from triptych.errors import ResourceExhaustedError
from triptych.lora import has_digest
from triptych_orchestrator.library.loras.upload import Part, as_plain, write_part
from triptych_orchestrator.library.unwritable import unwritable
from triptych_orchestrator.settings import Limits

logger = logging.getLogger("triptych.loras")

DIGEST = re.compile(r"[0-9a-f]{64}")
_SUFFIX = ".safetensors"
_PART_SUFFIX = ".part"
_RETRY_AFTER_S = 5
_CHANGED = "its file was changed"


class LoraStore:
    """Who needs a file retains its digest; belongs to the event loop."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._users: Counter[str] = Counter()
        self._sizes = {path.stem: path.stat().st_size for path in self._files()}
        # Bytes so far of what is being uploaded.
        self._parts: dict[Path, int] = {}
        # What is wrong with files that are there, and those of which that is just being found out.
        self._problems: dict[str, str] = {}
        self._doubted: set[str] = set()

    def path(self, digest: str) -> Path:
        """Where orchestrator and stages read it."""
        return self._folder / f"{digest}{_SUFFIX}"

    def size_bytes(self, digest: str) -> int:
        """Of the file as it was taken in or found at the start; 0 if there was none."""
        return self._sizes.get(digest, 0)

    def retain(self, digest: str) -> None:
        """The file stays until `release`."""
        self._users[digest] += 1

    def release(self, digest: str) -> None:
        """The file goes if nobody else retains it."""
        self._users[digest] -= 1
        if self._users[digest] <= 0:
            self._delete(digest)

    @contextmanager
    def hold(self, digest: str) -> Iterator[None]:
        """Retains it for the context."""
        self.retain(digest)
        try:
            yield
        finally:
            self.release(digest)

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[Part]:
        """The file that `chunks` make, safetensors if it was a torch file, gone afterwards unless it was kept.

        ResourceExhaustedError names the limit that it exceeds, CheckpointInvalidError what is wrong with a torch file.
        """
        if len(self._parts) >= self._limits.max_lora_uploads:
            raise ResourceExhaustedError(
                f"{len(self._parts)} uploads at once are all that max_lora_uploads allows; try again in "
                f"{_RETRY_AFTER_S} s",
                retry_after_seconds=str(_RETRY_AFTER_S),
            )
        path = self._folder / f"{uuid.uuid4().hex}{_PART_SUFFIX}"

        def admit(size_bytes: int) -> None:
            self._parts[path] = size_bytes
            self._check_room(size_bytes)

        self._parts[path] = 0
        converting: asyncio.Future[Part] | None = None
        try:
            part = await write_part(path, chunks, admit)
            converting = asyncio.create_task(asyncio.to_thread(as_plain, part, admit))
            yield await asyncio.shield(converting)
        finally:
            if converting is None or converting.done():
                self._drop(path)
            else:  # whoever wanted it has left, and the thread writes on
                converting.add_done_callback(lambda done: self._drop(path, done))

    def keep(self, part: Part) -> None:
        """Gives the file its name for good; over the same content, where that is there already."""
        try:
            part.path.chmod(0o444)
            part.path.replace(self.path(part.digest))
        except OSError as error:
            raise unwritable("the LoRA's file", self._folder, error) from error
        self._parts[part.path] = 0
        self._sizes[part.digest] = part.size_bytes
        self._problems.pop(part.digest, None)
        self._doubted.discard(part.digest)

    def problem(self, digest: str) -> str:
        """What is wrong with the file, as far as a glance shows; or nothing."""
        try:
            if self.path(digest).stat().st_size != self._sizes.get(digest):
                return _CHANGED
        except OSError as error:
            return _unreadable(error)
        return self._problems.get(digest, "")

    def mark(self, digest: str, problem: str) -> None:
        """Something is wrong with the file, until it is taken in again."""
        self._problems[digest] = problem

    async def verify(self, digest: str) -> None:
        """Reads the file whole, so that `problem` says if it is not what it was."""
        self._doubted.add(digest)
        try:
            problem = "" if await asyncio.to_thread(has_digest, self.path(digest), digest) else _CHANGED
        except FileNotFoundError:
            problem = ""  # which is seen at a glance, for as long as it is so
        except OSError as error:
            problem = _unreadable(error)
        if problem and digest in self._doubted:  # else it was taken in again meanwhile
            self.mark(digest, problem)
        self._doubted.discard(digest)

    def sweep(self, *, nameless: bool) -> None:
        """Removes what an earlier run had begun and not finished: parts, and `nameless` files, which nobody retains."""
        for path in self._folder.glob(f"*{_PART_SUFFIX}"):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        for path in self._files() if nameless else ():
            if not self._users[path.stem]:
                self._delete(path.stem)

    def _files(self) -> list[Path]:
        return [path for path in self._folder.glob(f"*{_SUFFIX}") if DIGEST.fullmatch(path.stem) and path.is_file()]

    def _drop(self, path: Path, done: asyncio.Future[Part] | None = None) -> None:
        """Ends an upload; of what was `done` with nobody there any more, a failure is no news."""
        del self._parts[path]
        with suppress(OSError):  # it is swept up at the next start
            path.unlink(missing_ok=True)
        if done and not done.cancelled():
            done.exception()

    def _check_room(self, size_bytes: int) -> None:
        limits = self._limits
        if size_bytes > limits.max_lora_bytes:
            raise ResourceExhaustedError(f"the file is larger than max_lora_bytes, {limits.max_lora_bytes}")
        if sum(self._sizes.values()) + sum(self._parts.values()) > limits.max_kept_lora_bytes:
            problem = f"the server keeps no more than max_kept_lora_bytes, {limits.max_kept_lora_bytes}, of LoRAs"
            raise ResourceExhaustedError(f"{problem}; remove one first")

    def _delete(self, digest: str) -> None:
        del self._users[digest]
        self._problems.pop(digest, None)
        try:
            self.path(digest).unlink(missing_ok=True)
            self._sizes.pop(digest, None)
        except OSError as error:  # it is swept up at the next start
            logger.error("lora file cannot be deleted", extra={"digest": digest, "error": str(error)})


def _unreadable(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "its file is gone"
    return f"its file cannot be read: {error.strerror or error}"
