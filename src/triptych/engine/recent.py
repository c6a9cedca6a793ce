"""A few things by key, the least recently used dropped first: one entry per shape that lately came."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Holds at most `limit` values."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The key's value, made if it is not there; room is made first, so that never more than the limit live."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        while len(self._values) >= self._limit:
            self._values.popitem(last=False)
        value = self._values[key] = make()
        return value

    def values(self) -> list[Value]:
        """All values, the least recently used first."""
        return list(self._values.values())

    def clear(self) -> None:
        """Drops all."""
        self._values.clear()
