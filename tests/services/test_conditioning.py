"""The store of conditioning: bounded in bytes and time, never losing what was just brought."""

from __future__ import annotations

import numpy as np

from triptych_unet.conditioning import ConditioningStore


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def value(number: int) -> dict[str, np.ndarray]:
    """Of 100 bytes."""
    return {"states": np.full(20, number, np.float32), "pooled": np.full(5, number, np.float32)}


def test_the_least_recently_used_goes_first() -> None:
    store = ConditioningStore(300, 60, Clock())
    for number in (1, 2, 3):
        store.put(bytes([number]), value(number))
    assert store.get(b"\1") is not None
    store.put(b"\4", value(4))
    assert [store.get(bytes([number])) is not None for number in (1, 2, 3, 4)] == [True, False, True, True]


def test_what_was_just_brought_stays_however_large() -> None:
    store = ConditioningStore(10, 60, Clock())
    store.put(b"a", value(1))
    assert len(store) == 1
    store.put(b"b", value(2))
    assert store.get(b"a") is None and store.get(b"b") is not None


def test_time_to_live_counts_from_the_last_use() -> None:
    clock = Clock()
    store = ConditioningStore(1_000, 60, clock)
    store.put(b"a", value(1))
    store.put(b"b", value(2))
    clock.now = 50
    assert store.get(b"a") is not None
    clock.now = 100
    store.put(b"c", value(3))
    assert store.get(b"b") is None and store.get(b"a") is not None


def test_the_same_key_again_counts_once() -> None:
    store = ConditioningStore(250, 60, Clock())
    for _ in range(10):
        store.put(b"a", value(1))
    store.put(b"b", value(2))
    assert len(store) == 2


def test_a_copy_is_kept() -> None:
    store = ConditioningStore(1_000, 60, Clock())
    brought = value(1)
    store.put(b"a", brought)
    brought["pooled"][:] = 9
    kept = store.get(b"a")
    assert kept is not None and kept.keys() == brought.keys() and kept["pooled"][0] == 1
