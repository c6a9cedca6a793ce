"""Opens one registered checkpoint, has the stages hold it, and has them let go of it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.pickles.advance import steps
from triptych.checkpoint.reading import Readers, too_slow
from triptych.contract import UNET
from triptych.contract.checkpoints import not_a_path
from triptych.contract.hub import HubId, downloaded
from triptych.errors import CheckpointChangedError, TriptychError, invalid
from triptych_orchestrator.library.entry import Entry, State
from triptych_orchestrator.library.hashes import Hashes
from triptych_orchestrator.library.predicting import evaluated
from triptych_orchestrator.library.shared_work import SharedWork
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.pool import ReplicaPool

logger = logging.getLogger("triptych.catalog")

Value = TypeVar("Value")

# Directories that are read at a time.
_MOST_READERS = 8


class Loader:
    """Moves entries from state to state; whoever calls holds the entry's lock."""

    def __init__(self, settings: Settings, pool: ReplicaPool) -> None:
        self._pool = pool
        self.hashes = Hashes()
        self._placements: SharedWork[None] = SharedWork()
        self._readers = Readers(_MOST_READERS)
        self._call_timeout_s = settings.call_timeout_s
        self._wanted = settings.wanted_models
        self._read_timeout_s = settings.limits.max_checkpoint_read_seconds

    async def locate(self, path: Path, variant: str) -> Path:
        """The absolute path that was given, or of a hub's id the folder in the hub's cache; nothing is downloaded."""
        if not path.is_absolute() and (hub_id := HubId.parse(str(path))):
            return await self._read(path, lambda: downloaded(hub_id, variant))
        check_absolute("path", path)
        return path

    async def open(self, entry: Entry) -> None:
        """Reads the entry's files."""
        entry.take(await self._read(entry.path, functools.partial(entry.read, self._wanted), entry.paths))

    async def is_changed(self, entry: Entry) -> bool:
        """Whether a file that an open entry was read from is another by now."""
        if (fingerprint := entry.fingerprint) is None:
            return False
        try:
            await self._read(entry.path, fingerprint.check)
        except CheckpointChangedError:
            return True
        return False

    async def _read(self, path: Path, work: Callable[[], Value], converted: Sequence[Path] = ()) -> Value:
        """Does the work by threads that serve nothing else, in a bounded time but for what is `converted`."""
        reading = asyncio.wrap_future(self._readers.submit(work))
        before = None
        try:
            while before != (before := sum(map(steps, converted))):
                if (await asyncio.wait([reading], timeout=self._read_timeout_s))[0]:
                    return await reading
        finally:
            reading.cancel()
        raise too_slow(path, self._read_timeout_s)

    async def load(self, entry: Entry) -> None:
        """Has every stage hold the entry's models; where that fails, none does."""
        entry.state, entry.error = State.LOADING, ""
        try:
            # Once more: the directory may have changed since, for better or worse.
            await self.open(entry)
            # Beside the load, which leaves cores idle, rather than beside the first steps, which leave none.
            self.hashes.begin(entry)
            async with asyncio.TaskGroup() as group:
                for model in entry.models_to_load():
                    group.create_task(self._pool.place(model))
            if entry.checkpoint:
                entry.checkpoint = await self.decided(entry, entry.checkpoint)
        except BaseException as failure:
            with contextlib.suppress(TriptychError):
                await asyncio.shield(self.withdraw(entry))
            cause = failure.exceptions[0] if isinstance(failure, BaseExceptionGroup) else failure
            given_up = isinstance(cause, asyncio.CancelledError)
            entry.state, entry.error = (State.REGISTERED, "") if given_up else (State.FAILED, str(cause))
            if isinstance(cause, TriptychError):
                raise cause from None
            raise
        entry.held = {model.spec.name for model in entry.models_to_load()}
        entry.state = State.LOADED
        entry.loads += 1
        logger.info("checkpoint loaded", extra={"checkpoint": entry.name})

    async def decided(self, entry: Entry, checkpoint: Checkpoint) -> Checkpoint:
        """The same, but where nothing has told what the UNet predicts, the entry's placed one is asked."""
        if not checkpoint.is_undecided:
            return checkpoint
        found = await evaluated(self._pool, entry.models()[UNET.name], checkpoint, self._call_timeout_s)
        extra = {"checkpoint": entry.name, "prediction_type": found.type, "told_by": found.told_by}
        logger.info("prediction type found", extra=extra)
        return checkpoint.predicting(found)

    async def place_on_demand(self, entry: Entry, models: Collection[str]) -> None:
        """Has the stages hold these models of a loaded entry too; the caller uses it, so that it stays loaded.

        Those who want the same wait together, and it is given up once the last of them has left. A failure is theirs
        alone: the next one tries again.
        """
        for name in sorted(set(models) - entry.held):
            await self._placements.join((entry.number, name), functools.partial(self._place, entry, name))

    async def _place(self, entry: Entry, name: str) -> None:
        async with entry.placing:
            await self._pool.place(entry.models()[name])
            entry.held.add(name)

    def residence(self, entry: Entry) -> list[str]:
        """The replicas, by name, that hold any of its weights."""
        models = entry.models().values() if entry.held else ()
        return sorted({replica.name for model in models for replica in self._pool.holders(model)})

    async def unload(self, entry: Entry) -> None:
        """Waits for the requests that use the entry, then frees it in every stage."""
        if entry.state is not State.LOADED:
            return
        entry.state = State.UNLOADING
        while entry.users:
            entry.unused.clear()
            await entry.unused.wait()
        try:
            async with entry.placing:  # what was given up may still be ending
                await self.withdraw(entry)
        except TriptychError as error:
            entry.state, entry.error = State.FAILED, error.message
            raise
        entry.state = State.REGISTERED

    async def withdraw(self, entry: Entry) -> None:
        """Frees whatever the stages hold of it."""
        await asyncio.gather(*(self._pool.withdraw(model) for model in entry.models().values()))


def check_absolute(field: str, path: Path) -> None:
    """InvalidArgumentError about the field where the path is not."""
    if not path.is_absolute():
        problem = not_a_path(str(path)) or "as seen by the orchestrator and the stages"
        raise invalid(field, f"{str(path)!r} must be absolute; {problem}")
