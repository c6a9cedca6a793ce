from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch

from triptych.engine.tensorrt.run import device_weights
from triptych.engine.tensorrt.run.device_weights import DeviceWeights, most_device_bytes, most_pinned_bytes

CPU = torch.device("cpu")


def array(value: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(8, value, np.float32)


def test_a_weight_that_waits_is_not_brought_again() -> None:
    weights, one = DeviceWeights(CPU, 1_000, 0), array(1)
    first = weights.merged("w", one, torch.float16)
    assert first.dtype == torch.float16 and first.tolist() == [1.0] * 8
    assert weights.merged("w", one, torch.float16) is first
    assert weights.merged("w", array(1), torch.float16) is not first
    asked: list[str] = []

    def own() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        asked.append("w")
        return array(0)

    assert weights.base("w", own, torch.float16) is weights.base("w", own, torch.float16)
    assert asked == ["w"]


def test_the_least_recently_used_go_first() -> None:
    weights, arrays = DeviceWeights(CPU, 32, 0), [array(value) for value in range(3)]  # of 16 bytes each
    first, second = (weights.merged("w", one, torch.float16) for one in arrays[:2])
    assert weights.merged("w", arrays[0], torch.float16) is first
    weights.merged("w", arrays[2], torch.float16)
    assert weights.merged("w", arrays[0], torch.float16) is first and weights.size_bytes == 32
    assert weights.merged("w", arrays[1], torch.float16) is not second


def test_nothing_waits_without_room() -> None:
    weights = DeviceWeights(CPU, 0, 0)
    assert weights.merged("w", array(1), torch.float16).tolist() == [1.0] * 8 and weights.size_bytes == 0


def test_what_leaves_the_gpu_waits_in_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, arrays = DeviceWeights(CPU, 16, 32), [array(value) for value in range(4)]
    made: list[float] = []
    bring = device_weights.brought

    def counted(value: device_weights.Array, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        made.append(float(value[0]))
        return bring(value, device, dtype)

    monkeypatch.setattr(device_weights, "brought", counted)

    def ask(*numbers: int) -> None:
        for number in numbers:
            assert weights.merged("w", arrays[number], torch.float16).tolist() == [number] * 8

    ask(0, 1)
    assert (weights.size_bytes, weights.pinned_bytes) == (16, 16)
    ask(2, 0, 1, 2, 0)
    assert made == [0, 1, 2] and (weights.size_bytes, weights.pinned_bytes) == (16, 32)
    ask(3, 1, 2, 0)  # 1 was the least recently used when room was made for 3, and so on round
    assert made == [0, 1, 2, 3, 1, 2, 0]
    ask(2, 0)
    assert made == [0, 1, 2, 3, 1, 2, 0]
    del arrays[:]
    gc.collect()
    assert (weights.size_bytes, weights.pinned_bytes) == (0, 0)


def test_without_room_on_the_gpu_all_waits_in_pinned_memory() -> None:
    weights, one = DeviceWeights(CPU, 0, 16), array(1)
    for _ in range(3):
        assert weights.merged("w", one, torch.float16).tolist() == [1.0] * 8
        assert (weights.size_bytes, weights.pinned_bytes) == (0, 16)


def test_a_weight_goes_with_its_array() -> None:
    weights, one = DeviceWeights(CPU, 1_000, 0), array(1)
    weights.merged("w", one, torch.float16)
    assert weights.size_bytes == 16
    del one
    gc.collect()
    assert weights.size_bytes == 0


def test_an_array_does_not_keep_what_holds_its_weight() -> None:
    weights, one = DeviceWeights(CPU, 1_000, 0), array(1)
    weights.merged("w", one, torch.float16)
    holder = weakref.ref(weights)
    del weights
    gc.collect()
    assert holder() is None and one[0] == 1


def test_a_weight_that_fits_nowhere_is_watched_once() -> None:
    weights, one = DeviceWeights(CPU, 0, 0), array(1)
    for _ in range(3):
        weights.merged("w", one, torch.float16)
    assert weakref.getweakrefcount(one) == 1


@pytest.mark.parametrize(
    ("name", "capacity_bytes"),
    [("TRIPTYCH_LORA_DEVICE_BYTES", most_device_bytes), ("TRIPTYCH_LORA_PINNED_BYTES", most_pinned_bytes)],
)
def test_the_operator_sets_the_room(
    name: str, capacity_bytes: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    assert capacity_bytes() == 2 * 1024**3
    monkeypatch.setenv(name, "0")
    assert capacity_bytes() == 0
