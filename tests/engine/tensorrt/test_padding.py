from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from triptych.engine.tensorrt.run.padding import pad, padded_batches, read_batch_seconds


@pytest.mark.parametrize(
    ("seconds", "padded"),
    [
        ({}, {}),
        ({1: 1.0, 2: 2.0, 3: 3.0}, {}),
        ({1: 1.0, 2: 0.98}, {}),  # within what measurements differ by
        ({5: 3.0, 6: 3.1, 7: 3.2, 8: 2.0, 9: 2.5}, {5: 8, 6: 8, 7: 8}),
    ],
)
def test_a_batch_is_padded_to_what_is_clearly_quicker(seconds: dict[int, float], padded: dict[int, int]) -> None:
    assert padded_batches(seconds) == padded


@pytest.mark.parametrize(
    ("noted", "seconds"),
    [({"1": 0.5, "2": 1}, {1: 0.5, 2: 1.0}), (None, {}), ([1], {}), ({"one": 1}, {}), ({"1": None}, {})],
)
def test_an_odd_manifest_pads_nothing(noted: Any, seconds: dict[int, float]) -> None:
    assert read_batch_seconds({"batch_seconds": noted}) == seconds


def test_the_last_sample_is_repeated() -> None:
    padded = pad({"latents": np.array([[1.0], [2.0]], np.float32), "timestep": np.array([3, 4])}, 4)
    assert padded["latents"].tolist() == [[1], [2], [2], [2]] and padded["timestep"].tolist() == [3, 4, 4, 4]
