"""One Triton server of a stage: which models it holds, and calls that end when it is lost or its caller leaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import weakref
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from triptych.contract import ModelSpec
from triptych.errors import TriptychError
from triptych_orchestrator.stages.triton import ReplicaDownError, Tensors, TritonServer

logger = logging.getLogger("triptych.replicas")
Value = TypeVar("Value")

_REMEMBERED_LORAS = 16
# Between two tries to end an export that may not have begun.
_STOP_INTERVAL_S = 1.0
# What is no part of a checkpoint's name in a model's.
_UNTOLD = re.compile("~[a-z]*")


@dataclass(frozen=True)
class PlacedModel:
    """A model that every replica of its stage should hold; `parameters` are what its load is told."""

    name: str
    spec: ModelSpec
    parameters: Mapping[str, str]

    @property
    def public_name(self) -> str:
        """The same whether it is a checkpoint's, its twin's or one's on another engine."""
        return _UNTOLD.sub("", self.name)


@dataclass(frozen=True, eq=False)
class Load:
    """One load of a model: who saw it fail must not make the next load be forgotten."""

    model: PlacedModel


class Replica:
    """`held` is what the server is known to hold; `loops` counts the requests whose steps go here.

    `lora_keys` are the sets that were lately used here, so likely to be merged already.
    """

    def __init__(self, name: str, stage: str, server: TritonServer, load_timeout_s: float) -> None:
        self.name = name
        self.stage = stage
        self.server = server
        self.loops = 0
        self.held: dict[str, Load] = {}
        self._about: dict[str, str] = {}
        self.lora_keys: deque[bytes] = deque(maxlen=_REMEMBERED_LORAS)
        self._load_timeout_s = load_timeout_s
        # Held before the connection was lost: there still if only the network failed.
        self._uncertain: dict[str, Load] = {}
        # By model, while somebody holds one or waits for it.
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._calls: set[asyncio.Task[Any]] = set()
        # Done once the server is lost; none while it is down.
        self._loss: asyncio.Future[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it is up, as far as is known."""
        return self._loss is not None

    @property
    def load(self) -> int:
        """How busy it is: requests in their loops and calls under way."""
        return self.loops + len(self._calls)

    def mark(self, *, ready: bool) -> None:
        """Notes that it came up or went down; calls under way to one that is down end with ReplicaDownError."""
        if ready:
            self._loss = self._loss or asyncio.get_running_loop().create_future()
        else:
            if self._loss:
                self._loss.set_result(None)
            self._loss = None
            self._uncertain |= self.held
            self.held = {}
            self.lora_keys.clear()

    def uncertain(self) -> list[PlacedModel]:
        """What it held when it was lost."""
        return [load.model for load in self._uncertain.values()]

    def forget(self, load: Load | None) -> None:
        """The model of that load is gone; a later load of it is not."""
        if load and self.held.get(load.model.name) is load:
            del self.held[load.model.name]

    def remember_loras(self, key: bytes) -> None:
        """A step with this LoRA set is done here."""
        if key in self.lora_keys:
            self.lora_keys.remove(key)
        self.lora_keys.append(key)

    def about(self, model: PlacedModel) -> str:
        """What the model said of itself when it was last loaded here; see `triptych.contract.ABOUT`."""
        return self._about.get(model.name, "")

    async def ensure(self, model: PlacedModel) -> Load:
        """Loads the model unless it is held; callers at the same time share one load."""
        async with self._lock(model):
            if model.name not in self.held:
                known = self._uncertain.get(model.name)
                if known is None or known.model != model or not await self.server.is_model_ready(model.name):
                    await self._load(model)
                self._uncertain.pop(model.name, None)
                self.held[model.name] = Load(model)
            return self.held[model.name]

    async def drop(self, model: PlacedModel) -> None:
        """Unloads the model; where the replica is down that waits until it is back."""
        async with self._lock(model):
            if load := self.held.pop(model.name, None):
                self._uncertain[model.name] = load
            with contextlib.suppress(ReplicaDownError):
                await self._call(self.server.unload_model(model.name, self._load_timeout_s))
                self._uncertain.pop(model.name, None)
                self._about.pop(model.name, None)

    async def infer(
        self, model: PlacedModel, tensors: Mapping[str, npt.NDArray[np.generic]], request_id: str, timeout_s: float
    ) -> Tensors:
        """One call of a model that this replica holds."""
        return await self._call(self.server.infer(model.name, model.spec, tensors, request_id, timeout_s))

    async def _load(self, model: PlacedModel) -> None:
        began = time.monotonic()
        loading = self._begin(self.server.load_model(model.name, model.spec, model.parameters, self._load_timeout_s))
        try:
            self._about[model.name] = await self._answer(loading)
        except asyncio.CancelledError:
            await asyncio.shield(self._abandon(model, loading))
            raise
        seconds = round(time.monotonic() - began, 3)
        logger.info("model placed", extra={"replica": self.name, "model": model.name, "seconds": seconds})

    async def _abandon(self, model: PlacedModel, loading: asyncio.Task[str]) -> None:
        """Ends a load that nobody waits for any more: at once if it is exporting a graph, which takes minutes."""
        stopping = self._stop_export(model, loading)
        await asyncio.gather(stopping, self._unload_after(model, loading), return_exceptions=True)

    async def _stop_export(self, model: PlacedModel, loading: asyncio.Task[str]) -> None:
        while not loading.done():
            await self._call(self.server.stop_export(model.name, model.spec, self._load_timeout_s))
            await asyncio.wait([loading], timeout=_STOP_INTERVAL_S)

    async def _unload_after(self, model: PlacedModel, loading: asyncio.Task[str]) -> None:
        with contextlib.suppress(TriptychError):
            await self._answer(loading)
        await self._call(self.server.unload_model(model.name, self._load_timeout_s))

    async def _call(self, work: Coroutine[Any, Any, Value]) -> Value:
        """The answer, or ReplicaDownError once the replica is known to be down.

        A caller that is cancelled leaves the call to finish: Triton would compute it all the same, and cancelling
        has crashed some of its versions.
        """
        return await self._answer(self._begin(work))

    def _begin(self, work: Coroutine[Any, Any, Value]) -> asyncio.Task[Value]:
        if self._loss is None:
            work.close()
            raise ReplicaDownError(f"{self.server.address}: is down")
        call = asyncio.create_task(work)
        self._calls.add(call)
        call.add_done_callback(self._ended)
        return call

    async def _answer(self, call: asyncio.Task[Value]) -> Value:
        if self._loss:
            first: set[asyncio.Future[Any]] = {call, self._loss}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not call.done():
            raise ReplicaDownError(f"{self.server.address}: went down during a call")
        return call.result()

    def _ended(self, call: asyncio.Task[Any]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # seen, even where nobody waits for it any more

    def _lock(self, model: PlacedModel) -> asyncio.Lock:
        return self._locks.setdefault(model.name, asyncio.Lock())
