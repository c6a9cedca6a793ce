"""The checkpoints that a server knows, kept across restarts, loaded and unloaded while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from triptych.checkpoint import Checkpoint
from triptych.contract import ENCODER, MODELS, model_name
from triptych.contract.engines import check_engine_name
from triptych.errors import (
    AlreadyExistsError,
    CheckpointInvalidError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    TriptychError,
    invalid,
)
from triptych_orchestrator.prompt import Tokenizer
from triptych_orchestrator.replicas import PlacedModel, ReplicaPool
from triptych_orchestrator.schedulers import make_solver, resolved_name
from triptych_orchestrator.settings import Settings

logger = logging.getLogger("triptych.catalog")

_TYPICAL_STEPS = 20
_KEPT = {"path", "engine", "loaded"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class State(Enum):
    """Values are those of the API's CheckpointState, without its prefix."""

    REGISTERED = "REGISTERED"
    LOADING = "LOADING"
    LOADED = "LOADED"
    UNLOADING = "UNLOADING"
    FAILED = "FAILED"


@dataclass(eq=False)
class Entry:
    """One checkpoint; `checkpoint` and `tokenizer` are None only where a kept one turned out broken at start."""

    name: str
    path: Path
    engine: str
    checkpoint: Checkpoint | None = None
    tokenizer: Tokenizer | None = None
    scheduler: str = ""
    state: State = State.REGISTERED
    error: str = ""
    users: int = 0
    loads: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    unused: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        """Reads and checks the directory whole: components, weights' headers, tokenizer, scheduler."""
        checkpoint = Checkpoint.open(self.path)
        try:
            make_solver("", checkpoint.scheduler_config, _TYPICAL_STEPS)
            self.scheduler = resolved_name("", checkpoint.scheduler_config)
        except CheckpointInvalidError:
            raise
        except InvalidArgumentError as error:  # requests must name a scheduler then
            logger.warning("no default scheduler", extra={"checkpoint": self.name, "error": error.message})
        tokenizer = Tokenizer.from_directory(self.path / "tokenizer")
        encoder = checkpoint.components[ENCODER.name]
        tokenizer.check_vocabulary(encoder.architecture.config["vocab_size"], str(encoder.folder / "config.json"))
        if tokenizer.max_length != checkpoint.tokens:
            file = str(self.path / "tokenizer" / "tokenizer_config.json")
            problem = (
                f"model_max_length is {tokenizer.max_length}, but the text encoder takes {checkpoint.tokens} tokens"
            )
            raise CheckpointInvalidError(f"{file}: {problem}", file=file)
        self.tokenizer, self.checkpoint = tokenizer, checkpoint

    def models(self) -> dict[str, PlacedModel]:
        """What the stages should hold for this checkpoint, by the contract's model names."""
        parameters = {"checkpoint": str(self.path), "engine": self.engine}
        return {spec.name: PlacedModel(model_name(self.name, spec), spec, parameters) for spec in MODELS.values()}


class Catalog:
    """Names to checkpoints. Loading and unloading of one checkpoint exclude each other; of different ones do not."""

    def __init__(self, settings: Settings, pool: ReplicaPool) -> None:
        self._pool = pool
        self._default_engine = settings.engine
        self._file = settings.state_dir / "checkpoints.json"
        self._entries: dict[str, Entry] = {}
        # What an earlier run knew and `restore` has not come to yet; saving keeps it.
        self._kept = self._read()

    def entries(self) -> list[Entry]:
        """All, by name."""
        return [self._entries[name] for name in sorted(self._entries)]

    def get(self, name: str) -> Entry:
        """The entry; an empty name means the only one there is."""
        names = ", ".join(sorted(self._entries)) or "none"
        if not name:
            if len(self._entries) == 1:
                return next(iter(self._entries.values()))
            raise invalid("checkpoint", f"name one of those registered: {names}")
        if name not in self._entries:
            raise NotFoundError(f"checkpoint: {name!r} is not registered; there are: {names}", field="checkpoint")
        return self._entries[name]

    async def register(self, name: str, path: Path, engine: str = "") -> Entry:
        """Checks a directory and takes it under a name; the same again is no error."""
        if not _NAME.fullmatch(name):
            raise invalid("name", f"{name!r} must be 1 to 64 letters, digits, '.', '_' or '-', the first no sign")
        if not path.is_absolute():
            raise invalid("path", f"{str(path)!r} must be absolute, as seen by the orchestrator and the stages")
        engine = check_engine_name(engine or self._default_engine)
        entry = Entry(name, path, engine)
        if known := self._taken(entry):
            return known
        await asyncio.to_thread(entry.open)
        if known := self._taken(entry):
            return known
        self._entries[name] = entry
        self._save()
        logger.info("checkpoint registered", extra={"checkpoint": name, "path": str(path), "engine": engine})
        return entry

    def _taken(self, entry: Entry) -> Entry | None:
        """The same checkpoint where it is registered already; AlreadyExistsError where its name is another's."""
        known = self._entries.get(entry.name)
        if known is None or known.checkpoint is None:
            return None
        if (known.path, known.engine) == (entry.path, entry.engine):
            return known
        raise AlreadyExistsError(
            f"name: {entry.name!r} is {known.path} with {known.engine}; unregister it first", field="name"
        )

    async def unregister(self, name: str) -> None:
        """Unloads and forgets."""
        entry = self.get(name)
        async with self._locked(entry):
            await self._unload(entry)
            del self._entries[entry.name]
            self._save()

    async def load(self, name: str) -> Entry:
        """Has every stage hold the checkpoint's models; at once if they do."""
        entry = self.get(name)
        await self._load_locked(entry)
        return entry

    async def unload(self, name: str) -> Entry:
        """Waits for the requests that use the checkpoint, then frees it in every stage."""
        entry = self.get(name)
        async with self._locked(entry):
            await self._unload(entry)
        return entry

    @asynccontextmanager
    async def use(self, entry: Entry) -> AsyncIterator[None]:
        """Has the entry loaded, and keeps it from unloading meanwhile."""
        while entry.state is not State.LOADED:
            # Others may wait for the same load: it goes on when this request is cancelled.
            await asyncio.shield(self._load_locked(entry))
        entry.users += 1
        try:
            yield
        finally:
            entry.users -= 1
            if not entry.users:
                entry.unused.set()

    @asynccontextmanager
    async def _locked(self, entry: Entry) -> AsyncIterator[None]:
        """Keeps other loads and unloads of the entry out; NotFoundError if it was unregistered meanwhile."""
        async with entry.lock:
            if self._entries.get(entry.name) is not entry:
                raise NotFoundError(f"checkpoint: {entry.name!r} was unregistered", field="checkpoint")
            yield

    async def _load_locked(self, entry: Entry) -> None:
        async with self._locked(entry):
            if entry.state is not State.LOADED:
                await self._load(entry)

    async def _unload(self, entry: Entry) -> None:
        if entry.state is not State.LOADED:
            return
        entry.state = State.UNLOADING
        while entry.users:
            entry.unused.clear()
            await entry.unused.wait()
        try:
            await self._withdraw(entry)
        except TriptychError as error:
            entry.state, entry.error = State.FAILED, error.message
            raise
        entry.state = State.REGISTERED
        self._save()

    async def _withdraw(self, entry: Entry) -> None:
        await asyncio.gather(*(self._pool.withdraw(model) for model in entry.models().values()))

    async def _load(self, entry: Entry) -> None:
        entry.state, entry.error = State.LOADING, ""
        try:
            # Once more: the directory may have changed since, for better or worse.
            await asyncio.to_thread(entry.open)
            async with asyncio.TaskGroup() as group:
                for model in entry.models().values():
                    group.create_task(self._pool.place(model))
        except BaseException as failure:
            with contextlib.suppress(TriptychError):
                await asyncio.shield(self._withdraw(entry))
            cause = failure.exceptions[0] if isinstance(failure, BaseExceptionGroup) else failure
            entry.state, entry.error = State.FAILED, str(cause)
            if isinstance(cause, TriptychError):
                raise cause from None
            raise
        entry.state = State.LOADED
        entry.loads += 1
        self._save()
        logger.info("checkpoint loaded", extra={"checkpoint": entry.name})

    async def restore(self) -> None:
        """Takes up what an earlier run of this server knew; a directory broken since is kept as failed."""
        for name in list(self._kept):
            kept = self._kept.pop(name)
            if name in self._entries:
                continue
            entry = Entry(name, Path(kept["path"]), kept["engine"])
            self._entries[name] = entry
            try:
                await asyncio.to_thread(entry.open)
                if kept["loaded"]:
                    await self.load(name)
            except TriptychError as error:
                entry.state, entry.error = State.FAILED, error.message
                logger.error("kept checkpoint is unusable", extra={"checkpoint": name, "error": error.message})

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            kept: dict[str, dict[str, Any]] = json.loads(self._file.read_text()) if self._file.exists() else {}
            if all(_NAME.fullmatch(name) and entry.keys() >= _KEPT for name, entry in kept.items()):
                return kept
            problem = f"entries must have {', '.join(sorted(_KEPT))}"
        except (OSError, ValueError, AttributeError) as error:
            problem = str(error)
        raise FailedPreconditionError(f"{self._file} cannot be read ({problem}); mend it or move it away")

    def _save(self) -> None:
        kept = self._kept | {
            entry.name: {"path": str(entry.path), "engine": entry.engine, "loaded": entry.state is State.LOADED}
            for entry in self._entries.values()
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._file.with_suffix(".new")
        scratch.write_text(json.dumps(kept, indent=2))
        scratch.replace(self._file)
