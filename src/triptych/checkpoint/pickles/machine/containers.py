"""Fills the lists and dicts of a pickle; what stands in for an object swallows what it is given."""

from __future__ import annotations

from typing import Any

from triptych.checkpoint.pickles.machine.byte_stream import PickleError
from triptych.checkpoint.pickles.machine.values import Inert

# Larger ones can be chosen so that all have the same hash.
_LARGEST_KEY = 1 << 63


def extend(target: object, items: list[Any]) -> None:
    """Adds items to a list."""
    if isinstance(target, list):
        target.extend(items)
    elif not isinstance(target, Inert):
        raise PickleError("its pickle appends to what is no list")


def insert(target: object, items: list[Any]) -> None:
    """Adds keys and values, by turns, to a dict. No parameter stands under a key that is neither text nor number."""
    if len(items) % 2:
        raise PickleError("its pickle has a key without a value")
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str) or (isinstance(key, int) and -_LARGEST_KEY <= key < _LARGEST_KEY):
                target[key] = value
    elif not isinstance(target, Inert):
        raise PickleError("its pickle sets an item of what is no dict")
