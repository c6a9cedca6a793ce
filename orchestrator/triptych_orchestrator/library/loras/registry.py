"""The LoRAs that a server keeps, by name, across restarts; a file lies under the SHA-256 of its content.

lora = await registry.add("ink", Path("ink.safetensors"))
registry.get("ink@3f2a90c1")   # that very file, whatever "ink" means by now
with registry.hold(lora): ...   # its file stays, whoever removes the name meanwhile
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

from triptych.contract.names import LORA_NAME, check_lora_name
from triptych.errors import (
    AlreadyExistsError,
    CheckpointInvalidError,
    FailedPreconditionError,
    LoraBrokenError,
    LoraInvalidError,
    NotFoundError,
    ResourceExhaustedError,
    invalid,
)
from triptych.lora import LoraFile
from triptych_orchestrator.library.loras.store import DIGEST, LoraStore
from triptych_orchestrator.library.loras.upload import read_chunks
from triptych_orchestrator.library.state_file import StateFile
from triptych_orchestrator.settings import Limits

logger = logging.getLogger("triptych.loras")

_AT = "@"
_SHORTEST_DIGEST = 8
_SHOWN_DIGITS = 12
_UNREADABLE = "its file is no LoRA that can be read any more"


@dataclass(frozen=True)
class Facts:
    """What is known of a file without reading it again: its layout, the layers it changes, largest rank, algorithms."""

    format: str = ""
    modules: int = 0
    rank: int = 0
    algorithms: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> Facts:
        """From the file; LoraInvalidError if it is no LoRA that can be read."""
        file = LoraFile.open(path)
        return cls(file.format, len({module.key for module in file.modules}), file.rank, file.kinds)


@dataclass(frozen=True)
class Lora:
    """One name; `digest` is its file's SHA-256 in hexadecimal, `path` where orchestrator and stages read it.

    What a name meant formerly has the name "name@digest".
    """

    name: str
    digest: str
    path: Path
    size_bytes: int
    facts: Facts


class LoraRegistry:
    """Names to LoRA files in a folder of this one server; belongs to the event loop."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        folder = folder.absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._store = LoraStore(folder, limits)
        except OSError as error:
            raise FailedPreconditionError(f"LoRAs cannot be kept in {folder}: {error.strerror or error}") from error
        self._max_names = limits.max_kept_loras
        self._index = StateFile(folder / "loras.json", _is_sound)
        self._loras: dict[str, Lora] = {}
        self._restore(self._index.read())
        # A broken index may name files that this one does not.
        if spared := self._index.was_set_aside():
            logger.warning("lora files without a name are kept, for a broken index lies beside them")
        self._store.sweep(nameless=not spared)

    def entries(self) -> list[Lora]:
        """All, by name."""
        return [self._loras[name] for name in sorted(self._loras)]

    def get(self, name: str) -> Lora:
        """The LoRA of a name, or of a name and the beginning of a digest; NotFoundError names those that there are.

        InvalidArgumentError if that beginning is too short, or of several.
        """
        if name not in self._loras and _AT in name:
            return self._pinned(*name.split(_AT, 1))
        if name not in self._loras:
            names = ", ".join(sorted(self._loras)) or "none"
            raise NotFoundError(f"lora: {name!r} is not known; there are: {names}", field="loras")
        return self._loras[name]

    async def add(
        self, name: str, source: Path | AsyncGenerator[bytes, None], *, replace: bool = False, keep: bool = False
    ) -> Lora:
        """Takes a file under a name, checked; the same again is no error, and mends what was done to the kept one.

        With `replace` another file's name becomes this one's; with `keep` too, the other stays as "name@digest".

        Raises:
            AlreadyExistsError: the name is another file's, and `replace` is not set.
            LoraInvalidError: it is not a LoRA that can be read.
            ResourceExhaustedError: a limit on uploads, names or bytes is reached.
            InvalidArgumentError: the name is none, or `source` cannot be read.
        """
        check_lora_name("name", name)
        if name not in self._loras:  # what is known already may need no more room, which its content tells
            self._check_room(len(self._loras) + 1)
        chunks = read_chunks(source) if isinstance(source, Path) else source
        async with contextlib.aclosing(chunks), _naming(name), self._store.receive(chunks) as part:
            facts = await asyncio.to_thread(Facts.of, part.path)
            # Held: until the name is entered, nobody else's removal may take the file along.
            with self._store.hold(part.digest):
                self._store.keep(part)
                return self._enter(self._lora(name, part.digest, facts), replace, keep)

    def remove(self, name: str) -> None:
        """Forgets a name and what it meant formerly, or of that one alone.

        A file goes with its last name, or with the last request that holds it. FailedPreconditionError for what a name
        means now, called by its digest.
        """
        lora = self.get(name)
        if _AT in name and _AT not in lora.name:
            raise FailedPreconditionError(f"name: {name!r} is what {lora.name!r} means now; remove {lora.name!r}")
        gone = [other for other in self._loras if other == lora.name or other.startswith(f"{lora.name}{_AT}")]
        self._change({other: each for other, each in self._loras.items() if other not in gone})
        logger.info("lora removed", extra={"lora": lora.name})

    def hold(self, lora: Lora) -> AbstractContextManager[None]:
        """Keeps the file; to be entered before anything is awaited that follows `get`."""
        return self._store.hold(lora.digest)

    def problem(self, lora: Lora) -> str:
        """What is wrong with its file, as far as a glance shows; or nothing."""
        return self._store.problem(lora.digest)

    def check(self, lora: Lora) -> None:
        """LoraBrokenError if a glance shows that something is wrong with its file."""
        if problem := self.problem(lora):
            logger.error("lora is broken", extra={"lora": lora.name, "path": str(lora.path), "problem": problem})
            raise broken(lora, problem)

    async def verify(self, lora: Lora) -> None:
        """Reads its file whole; LoraBrokenError if that is gone, or not what was sent."""
        await self._store.verify(lora.digest)
        self.check(lora)

    def open(self, lora: Lora) -> LoraFile:
        """Its file's header; LoraBrokenError if that cannot be read any more."""
        try:
            return LoraFile.open(lora.path)
        except LoraInvalidError as error:
            self._store.mark(lora.digest, _UNREADABLE)
            logger.error("lora cannot be read any more", extra={"lora": lora.name, "error": error.message})
            raise broken(lora, self.problem(lora)) from error

    def _lora(self, name: str, digest: str, facts: Facts) -> Lora:
        return Lora(name, digest, self._store.path(digest), self._store.size_bytes(digest), facts)

    def _pinned(self, name: str, beginning: str) -> Lora:
        versions = [each for other, each in self._loras.items() if other.partition(_AT)[0] == name]
        if len(beginning) < _SHORTEST_DIGEST:
            problem = f"{name}{_AT}{beginning}: needs at least {_SHORTEST_DIGEST} digits of the file's SHA-256"
            raise invalid("loras", problem)
        found = [each for each in versions if each.digest.startswith(beginning.lower())]
        if not found:
            digests = ", ".join(each.digest[:_SHOWN_DIGITS] for each in versions) or "none"
            problem = f"lora: no file of {name!r} has a digest that begins so: {beginning!r}; there are: {digests}"
            raise NotFoundError(problem, field="loras")
        if len(found) > 1:
            raise invalid("loras", f"{name}{_AT}{beginning}: is the beginning of {len(found)} digests; add digits")
        return found[0]

    def _check_room(self, count: int) -> None:
        """Whether so many names may be there; as many as there are may stay, where the limit was higher before."""
        if count > max(self._max_names, len(self._loras)):
            problem = f"{len(self._loras)} LoRAs are all that max_kept_loras allows; remove one first"
            raise ResourceExhaustedError(problem)

    def _enter(self, lora: Lora, replace: bool, keep: bool) -> Lora:
        known = self._loras.get(lora.name)
        if known == lora:
            return known
        moves = known is not None and known.digest != lora.digest
        if moves and not replace:
            problem = f"name: {lora.name!r} is another file's; remove it first, or have it replaced"
            raise AlreadyExistsError(problem, field="name")
        loras = self._loras | {lora.name: lora}
        # A name may come back to a file that it meant before.
        loras.pop(f"{lora.name}{_AT}{lora.digest}", None)
        if known is not None and moves and keep:
            former = replace_fields(known, name=f"{known.name}{_AT}{known.digest}")
            loras[former.name] = former
        self._check_room(len(loras))
        self._change(loras)
        extra = {"lora": lora.name, "digest": lora.digest}
        if known is not None:
            logger.warning("lora replaced", extra=extra | {"former_digest": known.digest})
        else:
            logger.info("lora added", extra=extra)
        return lora

    def _change(self, loras: dict[str, Lora]) -> None:
        """Takes `loras` for the names, and has the files that they need and no others."""
        former = self._loras
        self._save(loras)
        for lora in loras.values():
            self._store.retain(lora.digest)
        for lora in former.values():
            self._store.release(lora.digest)

    def _restore(self, kept: dict[str, str]) -> None:
        """Takes up what an earlier run kept; what is broken meanwhile stays known as that."""
        facts: dict[str, Facts] = {}
        for name, digest in kept.items():
            if digest not in facts:
                facts[digest] = self._facts(name, digest)
            self._loras[name] = self._lora(name, digest, facts[digest])
            self._store.retain(digest)

    def _facts(self, name: str, digest: str) -> Facts:
        try:
            return Facts.of(self._store.path(digest))
        except LoraInvalidError as error:
            self._store.mark(digest, _UNREADABLE)
            logger.error("kept lora is broken", extra={"lora": name, "error": error.message})
            return Facts()

    def _save(self, loras: dict[str, Lora]) -> None:
        """Writes the index, then takes `loras` for the names; all as before if it cannot be written."""
        self._index.write({name: lora.digest for name, lora in loras.items()})
        self._loras = loras


def broken(lora: Lora, problem: str) -> LoraBrokenError:
    """The error for a request that asks for it."""
    return LoraBrokenError(
        f"loras: {lora.name!r} cannot be used, {problem}; add it again, or remove it", field="loras", lora=lora.name
    )


@contextlib.asynccontextmanager
async def _naming(name: str) -> AsyncIterator[None]:
    """Says of the LoRA what is wrong with a file at a path that the caller has never seen."""
    try:
        yield
    except (CheckpointInvalidError, LoraInvalidError) as error:
        raise LoraInvalidError(error.message.replace(error.metadata["file"], name), file=name) from error


def _is_sound(name: str, digest: Any) -> bool:
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        return False
    base, at, version = name.partition(_AT)
    return bool(LORA_NAME.fullmatch(base)) and (not at or version == digest)
