"""The LoRAs that a server keeps, by name, across restarts; a file lies under the SHA-256 of its content.

lora = await registry.add("ink", Path("ink.safetensors"))
with registry.hold(lora): ...   # its file stays, whoever removes the name meanwhile
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from triptych.contract.names import LORA_NAME, check_lora_name
from triptych.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    LoraInvalidError,
    NotFoundError,
)
from triptych.lora import LoraFile
from triptych_orchestrator.lora_upload import PART_SUFFIX, Part, read_chunks, received

logger = logging.getLogger("triptych.loras")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Lora:
    """One name; `digest` is its file's SHA-256 in hexadecimal, `path` where orchestrator and stages read it."""

    name: str
    digest: str
    path: Path
    size_bytes: int
    file: LoraFile


class LoraRegistry:
    """Names to LoRA files in a folder of this one server; belongs to the event loop."""

    def __init__(self, folder: Path, max_lora_bytes: int) -> None:
        self._folder = folder.absolute()
        self._index = self._folder / "loras.json"
        self._max_lora_bytes = max_lora_bytes
        self._users: Counter[str] = Counter()
        self._loras: dict[str, Lora] = {}
        kept = self._read()
        self._sweep(set(kept.values()))
        for name, digest in kept.items():
            self._restore(name, digest)

    def entries(self) -> list[Lora]:
        """All, by name."""
        return [self._loras[name] for name in sorted(self._loras)]

    def get(self, name: str) -> Lora:
        """The LoRA; NotFoundError names those that there are."""
        if name not in self._loras:
            names = ", ".join(sorted(self._loras)) or "none"
            raise NotFoundError(f"lora: {name!r} is not known; there are: {names}", field="loras")
        return self._loras[name]

    async def add(self, name: str, source: Path | AsyncGenerator[bytes, None], *, replace: bool = False) -> Lora:
        """Takes a file under a name, checked; the same again is no error.

        Raises:
            AlreadyExistsError: the name is another file's, and `replace` is not set.
            LoraInvalidError: it is not a LoRA that can be read.
            ResourceExhaustedError: it is larger than `max_lora_bytes`.
            InvalidArgumentError: the name is none, or `source` cannot be read.
        """
        check_lora_name("name", name)
        chunks = read_chunks(source) if isinstance(source, Path) else source
        async with contextlib.aclosing(chunks), received(self._folder, chunks, self._max_lora_bytes) as part:
            await asyncio.to_thread(_check, part.path, name)
            # Held: until the name is entered, nobody else's removal may take the file along.
            with self._held(part.digest):
                path = self._keep(part)
                file = await asyncio.to_thread(LoraFile.open, path)
                return self._enter(Lora(name, part.digest, path, part.size_bytes, file), replace)

    def remove(self, name: str) -> None:
        """Forgets a name. The file goes with its last name, or with the last request that holds it."""
        lora = self.get(name)
        self._save({other: each for other, each in self._loras.items() if other != name})
        self._drop_unused(lora.digest)
        logger.info("lora removed", extra={"lora": name})

    @contextmanager
    def hold(self, lora: Lora) -> Iterator[None]:
        """Keeps the file; to be entered before anything is awaited that follows `get`."""
        with self._held(lora.digest):
            yield

    @contextmanager
    def _held(self, digest: str) -> Iterator[None]:
        self._users[digest] += 1
        try:
            yield
        finally:
            self._users[digest] -= 1
            self._drop_unused(digest)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}{_SUFFIX}"

    def _keep(self, part: Part) -> Path:
        """Gives the file its name for good; over the same content, where that is there already."""
        part.path.chmod(0o444)
        return part.path.replace(self._path(part.digest))

    def _enter(self, lora: Lora, replace: bool) -> Lora:
        known = self._loras.get(lora.name)
        if known and known.digest == lora.digest:
            return known
        if known and not replace:
            raise AlreadyExistsError(f"name: {lora.name!r} is another file's; remove it first", field="name")
        self._save(self._loras | {lora.name: lora})
        extra = {"lora": lora.name, "digest": lora.digest}
        if known:
            self._drop_unused(known.digest)
            logger.warning("lora replaced", extra=extra | {"former_digest": known.digest})
        else:
            logger.info("lora added", extra=extra)
        return lora

    def _drop_unused(self, digest: str) -> None:
        if self._users[digest] or any(lora.digest == digest for lora in self._loras.values()):
            return
        del self._users[digest]
        try:
            self._path(digest).unlink(missing_ok=True)
        except OSError as error:  # it is swept up at the next start
            logger.error("lora file cannot be deleted", extra={"digest": digest, "error": str(error)})

    def _sweep(self, digests: set[str]) -> None:
        """Removes what an earlier run had begun and not finished: parts, and files without a name."""
        for path in self._folder.iterdir():
            nameless = path.suffix == _SUFFIX and _DIGEST.fullmatch(path.stem) and path.stem not in digests
            if nameless or path.suffix == PART_SUFFIX:
                path.unlink(missing_ok=True)

    def _restore(self, name: str, digest: str) -> None:
        path = self._path(digest)
        try:
            self._loras[name] = Lora(name, digest, path, path.stat().st_size, LoraFile.open(path))
        except (OSError, LoraInvalidError) as error:
            logger.error("kept lora is unusable and forgotten", extra={"lora": name, "error": str(error)})

    def _read(self) -> dict[str, str]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            kept: dict[str, str] = json.loads(self._index.read_text()) if self._index.exists() else {}
            if all(LORA_NAME.fullmatch(name) and _DIGEST.fullmatch(digest) for name, digest in kept.items()):
                return kept
            problem = "it must map names to SHA-256 digests"
        except (OSError, ValueError, TypeError, AttributeError) as error:
            problem = str(error)
        raise FailedPreconditionError(f"{self._index} cannot be read ({problem}); mend it or move it away")

    def _save(self, loras: dict[str, Lora]) -> None:
        """Writes the index, then takes `loras` for the names; all as before if it cannot be written."""
        scratch = self._index.with_suffix(".new")
        try:
            scratch.write_text(json.dumps({name: lora.digest for name, lora in loras.items()}, indent=2))
            scratch.replace(self._index)
        except OSError as error:
            raise FailedPreconditionError(f"{self._index} cannot be written: {error}") from error
        self._loras = loras


def _check(path: Path, name: str) -> None:
    try:
        LoraFile.open(path)
    except LoraInvalidError as error:  # which speaks of a path that the caller has never seen
        raise LoraInvalidError(error.message.replace(str(path), name), file=name) from error
