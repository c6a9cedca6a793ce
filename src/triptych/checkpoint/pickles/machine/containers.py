"""Fills the lists and dicts of a pickle; what stands in for an object swallows what it is given."""

from __future__ import annotations

from typing import Any

from triptych.checkpoint.pickles.machine.byte_stream import PickleError
from triptych.checkpoint.pickles.machine.values import Inert

# Larger ones can be chosen so that all have the same hash.
_LARGEST_KEY = 1 << 63
# A text costs its length whenever it is compared or made part of a name, and one of many megabytes can be taken from
# the memo for any number of dicts. Beyond what a parameter's name may have, so that one somewhat too long is named.
_LONGEST_KEY = 1000


def extend(target: object, items: list[Any]) -> None:
    """Adds items to a list."""
    if isinstance(target, list):
        target.extend(items)
    elif not isinstance(target, Inert):
        raise PickleError("its pickle appends to what is no list")


def insert(target: object, items: list[Any]) -> None:
    """Adds keys and values, by turns, to a dict. No parameter stands under what is neither short text nor number."""
    if len(items) % 2:
        raise PickleError("its pickle has a key without a value")
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            if _is_key(key):
                target[key] = value
    elif not isinstance(target, Inert):
        raise PickleError("its pickle sets an item of what is no dict")


def _is_key(key: object) -> bool:
    if isinstance(key, str):
        return len(key) <= _LONGEST_KEY
    return isinstance(key, int) and -_LARGEST_KEY <= key < _LARGEST_KEY
