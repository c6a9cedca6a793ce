"""The LoRA sets that a stage can put into its engine: merged beside the running engine, swapped in between two batches.

Every merged weight is computed in float32 from the checkpoint's own, never from another set's, and held in the type
that the checkpoint has it in. A swap touches what differs from what the engine has at that moment. So after any
sequence of sets the base is the base, bit for bit.
"""

from __future__ import annotations

import logging
import mmap
import time
import traceback
import weakref
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from triptych.checkpoint import Component
from triptych.contract import NO_LORAS, LoraWeight, decode_lora_set, lora_key
from triptych.contract.carried import LoraLostError, LoraPreparingError
from triptych.engine import Engine
from triptych.engine.weights import Maps, held_weights
from triptych.errors import invalid
from triptych.lora import Target, find_targets, merge
from triptych.stage.lora_files import LoraFiles

Array = npt.NDArray[Any]
# A parameter and what is added to it, in order: (the file's digest, weight).
_Recipe = tuple[str, tuple[tuple[str, float], ...]]

# Longer than a small model's merge takes, and short beside a step: saves a second call.
_PATIENCE_S = 0.005
# Failed ones and those that change nothing here have no bytes, and are as many as somebody asks for.
_MOST_SETS = 500

logger = logging.getLogger("triptych.stage")


@dataclass(frozen=True, eq=False)
class MergedSet:
    """A set that can be activated, whatever is forgotten meanwhile: parameters where they differ from the base."""

    key: bytes
    weights: Mapping[str, Array]


BASE = MergedSet(NO_LORAS, {})


class _Held:
    """Bytes of the arrays that sets have, of each once however many share it."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._users: Counter[int] = Counter()

    def add(self, arrays: Iterable[Array]) -> None:
        """Another set has these."""
        for array in arrays:
            self.size_bytes += 0 if self._users[id(array)] else array.nbytes
            self._users[id(array)] += 1

    def remove(self, arrays: Iterable[Array]) -> None:
        """A set that had these is forgotten."""
        for array in arrays:
            self._users[id(array)] -= 1
            if not self._users[id(array)]:
                del self._users[id(array)]
                self.size_bytes -= array.nbytes


class LoraSets:
    """Sets by their key; the least recently used are forgotten beyond `capacity_bytes`, or 500. For one thread's use.

    `maps` are of the component's files, made before the engine was loaded from them. `threads` merge a set's weights.
    """

    def __init__(self, engine: Engine, component: Component, maps: Maps, capacity_bytes: int, threads: int = 1) -> None:
        self._engine = engine
        self._component, self._maps = component, maps
        self._capacity_bytes = capacity_bytes
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="lora")
        self._mergers = ThreadPoolExecutor(threads, thread_name_prefix="lora-merge")
        self._files = LoraFiles()
        self._sets: OrderedDict[bytes, Future[MergedSet]] = OrderedDict()
        # Those of them that were not done when they were last looked at, and the arrays of all others.
        self._pending: set[bytes] = set()
        self._held = _Held()
        # Merged weights that some set still has: sets that agree about a parameter share its array.
        self._merged: weakref.WeakValueDictionary[_Recipe, Array] = weakref.WeakValueDictionary()
        # What the engine has where it differs from the checkpoint; None where a failed swap left that unknown.
        self._current: dict[str, Array | None] = {}
        self.active_key = NO_LORAS

    def require(self, key: bytes, content: bytes | None) -> MergedSet:
        """The set, if it can be activated now.

        LoraLostError if it is unknown and `content`, its JSON, was not brought along; LoraPreparingError while it is
        being prepared; LoraBrokenError if a file is gone or was changed; LoraInvalidError if it cannot be merged;
        FailedPreconditionError while the engine is not ready for what it changes.
        """
        if key == NO_LORAS:
            return BASE
        if key not in self._sets:
            if content is None:
                raise LoraLostError(f"lora set {key.hex()} is not held here; send loras again")
            self._sets[key] = self._worker.submit(self._prepared, key, _checked_set(key, content))
            self._pending.add(key)
            wait([self._sets[key]], _PATIENCE_S)
        self._sets.move_to_end(key)
        self._count_prepared()
        self._forget(key)
        if key in self._pending:
            raise LoraPreparingError(f"lora set {key.hex()} is being prepared")
        if error := self._sets[key].exception():
            self._drop(key)
            raise error
        return self._sets[key].result()

    def activate(self, merged: MergedSet) -> float:
        """Has the engine run with this set; returns the seconds that the swap took."""
        began = time.perf_counter()
        wanted = merged.weights
        changes: dict[str, Array | None] = {name: None for name in self._current.keys() - wanted.keys()}
        changes |= {name: array for name, array in wanted.items() if self._current.get(name) is not array}
        self.active_key = merged.key
        if not changes:
            return 0.0
        touched = self._current.keys() | wanted.keys()
        self._current = dict.fromkeys(touched)
        self._engine.refit(changes)
        self._current = dict(wanted)
        return time.perf_counter() - began

    def close(self) -> None:
        """Prepares nothing any more."""
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._mergers.shutdown(wait=False, cancel_futures=True)

    def _prepared(self, key: bytes, lora_set: Sequence[LoraWeight]) -> MergedSet:
        try:
            return self._prepare(key, lora_set)
        except Exception as error:
            # Its request may never ask again, and until then the traceback would keep what was merged so far.
            traceback.clear_frames(error.__traceback__)
            raise

    def _prepare(self, key: bytes, lora_set: Sequence[LoraWeight]) -> MergedSet:
        began = time.perf_counter()
        contributions: dict[str, list[tuple[LoraWeight, Target]]] = {}
        for lora in lora_set:
            file = self._files.open(lora)
            for target in find_targets(file, self._component.architecture.model, self._component):
                contributions.setdefault(target.parameter, []).append((lora, target))
        self._engine.prepare_refit(contributions)
        maps: dict[Path, mmap.mmap] = {}
        merged = self._mergers.map(lambda name: self._merge(name, contributions[name], maps), contributions)
        weights = dict(zip(contributions, merged, strict=True))
        extra = {"loras": len(lora_set), "weights": len(weights), "seconds": round(time.perf_counter() - began, 4)}
        logger.info("lora set prepared", extra=extra)
        return MergedSet(key, weights)

    def _merge(
        self, name: str, contributions: Sequence[tuple[LoraWeight, Target]], maps: dict[Path, mmap.mmap]
    ) -> Array:
        recipe = (name, tuple((lora.digest, lora.weight) for lora, _ in contributions))
        array = self._merged.get(recipe)
        if array is None:
            ((_, base),) = held_weights(self._component, [name], self._maps)
            array = merge(base, [(target, lora.weight) for lora, target in contributions], maps)
            array.flags.writeable = False
            self._merged[recipe] = array
        return array

    def _count_prepared(self) -> None:
        for key in [key for key in self._pending if self._sets[key].done()]:
            self._pending.remove(key)
            if not _has_failed(self._sets[key]):
                self._held.add(self._sets[key].result().weights.values())

    def _forget(self, kept: bytes) -> None:
        """Drops sets, the least recently used first, until the rest fits."""
        for key in list(self._sets):
            fits = self._held.size_bytes <= self._capacity_bytes and len(self._sets) <= _MOST_SETS
            if key == kept or fits:
                return
            if key not in self._pending:
                self._drop(key)

    def _drop(self, key: bytes) -> None:
        prepared = self._sets.pop(key)
        if not _has_failed(prepared):
            self._held.remove(prepared.result().weights.values())


def _has_failed(prepared: Future[MergedSet]) -> bool:
    return prepared.cancelled() or prepared.exception() is not None


def _checked_set(key: bytes, content: bytes) -> Sequence[LoraWeight]:
    try:
        lora_set = decode_lora_set(content)
    except ValueError as error:
        raise invalid("loras", str(error)) from error
    if lora_key(lora_set) != key:
        raise invalid("lora_key", "is not the key of the loras that came with it")
    return lora_set
