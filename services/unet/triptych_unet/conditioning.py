"""Conditionings kept under their content keys, so that a step brings 16 bytes instead of the embeddings."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from triptych.engine.port import Array

# Named tensors without a batch, whatever they mean.
Conditioning = Mapping[str, Array]


class ConditioningStore:
    """Least recently used first out, by bytes; entries unused for `ttl_s` go too. Not thread-safe."""

    def __init__(self, capacity_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity_bytes = capacity_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, Conditioning]] = OrderedDict()
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: bytes, value: Conditioning) -> None:
        """Keeps a copy, so that the request's buffers can go."""
        self._drop(key)
        self._entries[key] = (self._clock(), {name: array.copy() for name, array in value.items()})
        self._size_bytes += _size_bytes(value)
        self._evict()

    def get(self, key: bytes) -> Conditioning | None:
        """The value, used just now; None if it was never here or has gone."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries[key] = (self._clock(), entry[1])
        self._entries.move_to_end(key)
        return entry[1]

    def _drop(self, key: bytes) -> None:
        if entry := self._entries.pop(key, None):
            self._size_bytes -= _size_bytes(entry[1])

    def _evict(self) -> None:
        stale_before = self._clock() - self._ttl_s
        while len(self._entries) > 1:
            oldest, (used, _) = next(iter(self._entries.items()))
            if self._size_bytes <= self._capacity_bytes and used >= stale_before:
                return
            self._drop(oldest)


def _size_bytes(value: Conditioning) -> int:
    return sum(array.nbytes for array in value.values())
