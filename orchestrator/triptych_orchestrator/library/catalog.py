"""The checkpoints that a server knows, kept across restarts, loaded and unloaded while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from triptych.checkpoint.sources.prediction import check_prediction_type
from triptych.contract.engines import join_engines, parse_engines
from triptych.contract.hub import HubId
from triptych.contract.names import check_checkpoint_name
from triptych.errors import AlreadyExistsError, NotFoundError, ResourceExhaustedError, TriptychError, invalid
from triptych_orchestrator.library.asides import Asides
from triptych_orchestrator.library.entry import Entry, State, as_registered
from triptych_orchestrator.library.kept_checkpoints import KeptCheckpoints
from triptych_orchestrator.library.loading import Loader, check_absolute
from triptych_orchestrator.library.registered import Registered
from triptych_orchestrator.library.shared_work import SharedWork
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.shielded import shielded
from triptych_orchestrator.stages.pool import ReplicaPool

logger = logging.getLogger("triptych.catalog")


class Catalog:
    """Names to checkpoints. Loading and unloading of one checkpoint exclude each other; of different ones do not."""

    def __init__(self, settings: Settings, pool: ReplicaPool) -> None:
        self._default_engine = settings.engine
        self._max_checkpoints = settings.limits.max_checkpoints
        self._kept = KeptCheckpoints(settings.state_dir)
        self._loader = Loader(settings, pool)
        self._asides = Asides(self._loader)
        self._entries: dict[str, Entry] = {}
        self._loads: SharedWork[Entry] = SharedWork()

    def entries(self) -> list[Entry]:
        """All, by name."""
        return [self._entries[name] for name in sorted(self._entries)]

    def get(self, name: str, field: str = "checkpoint") -> Entry:
        """The entry that a request's field names; "" means the only one there is, or else the only one to be used."""
        names = ", ".join(sorted(self._entries)) or "none"
        if not name:
            drawing = [entry for entry in self._entries.values() if entry.draws]
            usable = [entry for entry in drawing if entry.state is not State.FAILED and not entry.is_new]
            for found in (drawing, usable):
                if len(found) == 1:
                    return next(iter(found))
            raise invalid(field, f"name one of those registered: {names}")
        if name not in self._entries:
            remedy = f"; add it: triptych checkpoints add {name}" if HubId.parse(name) else ""
            problem = f"{field}: {name!r} is not registered; there are: {names}{remedy}"
            raise NotFoundError(problem, field=field)
        return self._entries[name]

    def on_engine(self, entry: Entry, engine: str) -> Entry:
        """The same on another engine than it is registered with, for `use`; "": as it is."""
        return self._asides.get(entry, engine)

    def residence(self, entry: Entry) -> list[str]:
        """The replicas, by name, that hold any of its weights."""
        return self._loader.residence(entry)

    async def hashed(self, entry: Entry) -> None:
        """Returns once its SHA-256 is known; CheckpointInvalidError where it cannot be computed."""
        self._loader.hashes.begin(entry)
        await entry.digests()

    async def register(
        self,
        name: str,
        path: Path,
        engine: str | None = None,
        prediction_type: str | None = None,
        *,
        variant: str | None = None,
        vae: str | None = None,
        image_encoder: str | None = None,
        load: bool = False,
        is_transient: bool = False,
        purpose: str = "",
    ) -> Entry:
        """Checks a checkpoint and takes it under a name; the same again is no error, otherwise made it is a switch.

        With `load` it is loaded as well; what was not registered before is not if that fails.

        A switch of a loaded checkpoint, to other engines, another variant, another VAE or the files that are there by
        now, loads that first; requests go on with what there was until then, and those that have begun until their end.
        Where it cannot be loaded, all stays as it is.
        `engine`, `prediction_type`, `variant`, `vae` and `image_encoder` None: as the path is registered under the
        name, or was in an earlier run of this server, or else open; the last two are paths, "" for its own. A transient
        one is not kept for the next run, unless it is registered again. `purpose` is what it must be for, "" anything.
        """
        check_checkpoint_name("name", name)
        path = await self._loader.locate(path, variant or "")
        choices = {"engine": engine, "variant": variant, "prediction_type": prediction_type}
        told = _checked(self._earlier(name, path).given(**choices, vae=vae, image_encoder=image_encoder))
        entry = Entry.of(name, path, told, self._default_engine, is_transient=is_transient)
        if (known := self._taken(entry)) is None:
            await self._loader.open(entry)
            known = self._taken(entry)
        (known or entry).check_purpose(purpose)
        if known is None:
            await self._enter(entry, load)
            extra = {"checkpoint": name, "path": str(path), "engine": told.engine}
            logger.info("checkpoint registered", extra=extra | _told(entry))
            return entry
        if known.is_new:  # and shares the fate of its first load
            await self._join_load(known)
        known = await self._made(known, told)
        return await self.load(name) if load else known

    def _earlier(self, name: str, path: Path) -> Registered:
        """What the path is registered with under the name, or was."""
        known = self._entries.get(name)
        if known is None or known.path != path:
            return self._kept.earlier(name, path)
        return known.registered

    async def _enter(self, entry: Entry, load: bool) -> None:
        """Has the name stand for the entry, or for what it did before if the entry cannot be loaded or kept."""
        former = self._entries.get(entry.name)
        if former is None and len(self._entries) >= self._max_checkpoints:
            problem = f"{len(self._entries)} checkpoints are all that max_checkpoints allows; unregister one first"
            raise ResourceExhaustedError(problem)
        self._entries[entry.name], entry.is_new = entry, load
        try:
            if load:
                await self._join_load(entry)
            entry.is_new = False
            self._save()
        except BaseException:
            if self._entries.get(entry.name) is entry:  # else it was unregistered, or switched, meanwhile
                await self._leave(entry, former)
            raise

    async def _leave(self, entry: Entry, former: Entry | None) -> None:
        """Takes back what `_enter` began, for those too who joined its load."""
        self._loads.give_up(entry.lock, _unregistered(entry))
        del self._entries[entry.name]
        if former is not None:
            self._entries[entry.name] = former
        if entry.state is State.LOADED:
            await asyncio.shield(self._loader.withdraw(entry))

    def _taken(self, entry: Entry) -> Entry | None:
        """The same directory where it is registered already; AlreadyExistsError where its name is another's."""
        known = self._entries.get(entry.name)
        if known is None or known.checkpoint is None:
            return None
        if known.path == entry.path:
            return known
        raise AlreadyExistsError(f"name: {entry.name!r} is {known.path}; unregister it first", field="name")

    async def _made(self, known: Entry, told: Registered) -> Entry:
        """The checkpoint made so, and kept from now on; a switch goes on when its caller leaves."""
        if known.is_transient:
            with self._saved_or(known, is_transient=True):
                known.is_transient = False
        # What is locked may be just about to be another.
        is_settled = not known.lock.locked() and known.prediction_type == told.prediction_type
        if is_settled and await self._is_so(known, told):
            return known
        return await shielded(self._switch(known, told))

    async def _is_so(self, known: Entry, told: Registered) -> bool:
        """Whether nothing of its files and models would be otherwise if it were opened anew."""
        return known.registered.models == told.models and not await self._loader.is_changed(known)

    async def _switch(self, known: Entry, told: Registered) -> Entry:
        async with self._locked(known) as old:
            if await self._is_so(old, told):
                await self._predict(old, told.prediction_type)
                return old
            new = old.twin(told)
            if old.state is State.LOADED:
                await self._loader.load(new)
            else:
                await self._loader.open(new)
            self._entries[new.name] = new
            try:
                self._save()
            except TriptychError:
                self._entries[new.name] = old
                await self._loader.unload(new)
                raise
            extra = {"checkpoint": new.name, **asdict(told), "engine": told.engine or "the replicas' own"}
            logger.info("checkpoint switched", extra=extra)
            await self._loader.unload(old)
            await self._asides.follow(new)
            return new

    async def _predict(self, known: Entry, prediction_type: str) -> None:
        """What was registered before counts for requests that have begun, and this for all that follow."""
        if known.prediction_type == prediction_type:
            return
        former = known.checkpoint, known.prediction_type
        if known.checkpoint:
            checkpoint = as_registered(known.checkpoint, prediction_type)
            if known.state is State.LOADED:
                checkpoint = await self._loader.decided(known, checkpoint)
            known.checkpoint = checkpoint
        known.prediction_type = prediction_type
        try:
            self._save()
        except TriptychError:
            known.checkpoint, known.prediction_type = former
            raise
        await self._asides.follow(known)

    async def unregister(self, name: str) -> None:
        """Unloads and forgets; a load under way is given up."""
        entry = self.get(name)
        self._loads.give_up(entry.lock, _unregistered(entry))
        async with self._locked(entry) as current:
            with self._saved_or(current, is_leaving=False):
                current.is_leaving = True
            try:
                await self._loader.unload(current)
                await self._asides.forget(current)
            except BaseException:
                current.is_leaving = False
                self._try_save()
                raise
            del self._entries[current.name]

    async def load(self, name: str) -> Entry:
        """Has every stage hold the checkpoint's models; at once if they do."""
        entry = await self._join_load(self.get(name))
        self._save()
        return entry

    async def unload(self, name: str) -> Entry:
        """Waits for the requests that use the checkpoint, then frees it in every stage."""
        async with self._locked(self.get(name)) as current:
            await self._loader.unload(current)
            await self._asides.follow(current)
            self._save()
        return current

    @asynccontextmanager
    async def use(self, entry: Entry, models: Collection[str] = ()) -> AsyncIterator[Entry]:
        """Has the entry loaded, or the twin that replaced it, and keeps that one from unloading meanwhile.

        Those of the contract's `models` that are not loaded with a checkpoint are placed then, and stay until it goes.
        """
        while (entry := self._current(entry)).state is not State.LOADED:
            await self._join_load(entry)
            self._try_save()  # a picture needs no list
        entry.users += 1
        try:
            await self._loader.place_on_demand(entry, models)
            yield entry
        finally:
            entry.users -= 1
            if not entry.users:
                entry.unused.set()

    @asynccontextmanager
    async def use_all(
        self, entries: Iterable[Entry], models: Mapping[str, Collection[str]]
    ) -> AsyncIterator[dict[str, Entry]]:
        """`use` of several, by their names, with the models of each; always in one order.

        Else requests that have one each and want the other's could wait for each other, were both to be unloaded.
        """
        async with AsyncExitStack() as stack:
            used = {}
            for entry in sorted(entries, key=lambda entry: entry.name):
                used[entry.name] = await stack.enter_async_context(self.use(entry, models.get(entry.name, ())))
            yield used

    def _current(self, entry: Entry) -> Entry:
        """The entry, or the twin that replaced it."""
        known = self._known(entry)
        return known if known and known.lock is entry.lock else entry

    @asynccontextmanager
    async def _locked(self, entry: Entry) -> AsyncIterator[Entry]:
        """Keeps other loads, unloads and switches out; yields the twin if that replaced the entry.

        NotFoundError if it was unregistered meanwhile, or is not registered after all.
        """
        async with entry.lock:
            current = self._current(entry)
            if self._known(entry) is not current:
                raise _unregistered(entry)
            yield current

    def _known(self, entry: Entry) -> Entry | None:
        """What its name stands for."""
        return self._asides.current(entry) if entry.aside else self._entries.get(entry.name)

    async def _join_load(self, entry: Entry) -> Entry:
        """Loads together with all who want the same; the load is given up once the last of them has left."""
        return await self._loads.join(entry.lock, lambda: self._load_locked(entry))

    async def _load_locked(self, entry: Entry) -> Entry:
        async with self._locked(entry) as current:
            if current.state is not State.LOADED:
                await self._loader.load(current)
                # An orchestrator that died in a switch, or after one, has left the twin's models in the stages.
                with contextlib.suppress(TriptychError):
                    await self._loader.withdraw(current.twin(current.registered))
                    if current.loads == 1 and not current.aside:
                        await self._asides.clear(current)
        return current

    async def restore(self) -> None:
        """Takes up what an earlier run of this server knew; a directory broken since is kept as failed."""
        for name, kept in self._kept.take():
            if name in self._entries:
                continue
            entry = Entry.of(name, Path(kept["path"]), Registered.of(kept), self._default_engine)
            self._entries[name] = entry
            try:
                async with entry.lock:
                    if entry.checkpoint is None:  # else a request was faster
                        await self._loader.open(entry)
                if kept["loaded"]:
                    await self._join_load(entry)
            except TriptychError as error:
                entry.state, entry.error = State.FAILED, error.message
                logger.error("kept checkpoint is unusable", extra={"checkpoint": name, "error": error.message})

    def _save(self) -> None:
        self._kept.save(self._entries.values())

    def _try_save(self) -> None:
        """For what no caller asked for: where it cannot be saved the log says so, and the next change tries again."""
        with contextlib.suppress(TriptychError):
            self._save()

    @contextmanager
    def _saved_or(self, entry: Entry, **former: bool) -> Iterator[None]:
        """Saves what the body changed of the entry; where that cannot be, all is as before."""
        yield
        try:
            self._save()
        except TriptychError:
            vars(entry).update(former)
            raise


def _told(entry: Entry) -> dict[str, str]:
    """What the UNet's output is taken for, for the log."""
    if entry.checkpoint is None:
        return {}
    return {"prediction_type": entry.checkpoint.prediction.type, "told_by": entry.checkpoint.prediction.told_by}


def _checked(told: Registered) -> Registered:
    """The same in one spelling; InvalidArgumentError about what is wrong."""
    check_prediction_type(told.prediction_type)
    paths = {field: Path(text) for field in ("vae", "image_encoder") if (text := getattr(told, field))}
    for field, path in paths.items():
        check_absolute(field, path)
    return replace(told, engine=join_engines(parse_engines(told.engine)), **{k: str(v) for k, v in paths.items()})


def _unregistered(entry: Entry) -> NotFoundError:
    what = "was unregistered"
    if entry.is_new:
        what = f"could not be loaded and is not registered: {entry.error or 'whoever asked for it left'}"
    return NotFoundError(f"checkpoint: {entry.name!r} {what}", field="checkpoint")
