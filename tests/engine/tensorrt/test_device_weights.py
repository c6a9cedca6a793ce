from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from triptych.engine.tensorrt.run.device_weights import DeviceWeights, device_capacity_bytes

CPU = torch.device("cpu")


def array(value: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(8, value, np.float32)


def test_a_weight_that_waits_is_not_brought_again() -> None:
    weights, one = DeviceWeights(CPU, 1_000), array(1)
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
    weights, arrays = DeviceWeights(CPU, 32), [array(value) for value in range(3)]  # of 16 bytes each
    first, second = (weights.merged("w", one, torch.float16) for one in arrays[:2])
    assert weights.merged("w", arrays[0], torch.float16) is first
    weights.merged("w", arrays[2], torch.float16)
    assert weights.merged("w", arrays[0], torch.float16) is first and weights.size_bytes == 32
    assert weights.merged("w", arrays[1], torch.float16) is not second


def test_nothing_waits_without_room() -> None:
    weights = DeviceWeights(CPU, 0)
    assert weights.merged("w", array(1), torch.float16).tolist() == [1.0] * 8 and weights.size_bytes == 0


def test_a_weight_goes_with_its_array() -> None:
    weights, one = DeviceWeights(CPU, 1_000), array(1)
    weights.merged("w", one, torch.float16)
    assert weights.size_bytes == 16
    del one
    gc.collect()
    assert weights.size_bytes == 0


def test_the_operator_sets_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIPTYCH_LORA_DEVICE_BYTES", raising=False)
    assert device_capacity_bytes() == 2 * 1024**3
    monkeypatch.setenv("TRIPTYCH_LORA_DEVICE_BYTES", "0")
    assert device_capacity_bytes() == 0
