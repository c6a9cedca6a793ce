from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from triptych.engine.memory import run_in_memory
from triptych.engine.port import Array
from triptych.errors import ResourceExhaustedError


class Gpu:
    """Has room for some samples; more, once what others hold is given back."""

    def __init__(self, room: int, room_after_release: int) -> None:
        self.room, self.room_after_release = room, room_after_release
        self.batches: list[int] = []

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        batch = len(inputs["latents"])
        self.batches.append(batch)
        if batch > self.room:
            raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB")
        return {"noise_pred": inputs["latents"] * 2}

    def release(self) -> None:
        self.room = self.room_after_release


@pytest.mark.parametrize(
    ("gpu", "batches"),
    [
        (Gpu(5, 5), [5]),
        (Gpu(0, 3), [5, 2, 3]),
        (Gpu(2, 2), [5, 2, 3, 1, 2]),
        (Gpu(0, 1), [5, 2, 1, 1, 3, 1, 2, 1, 1]),
    ],
)
def test_a_batch_is_halved_until_it_fits(gpu: Gpu, batches: list[int]) -> None:
    latents = np.arange(5.0, dtype=np.float32)[:, None]
    (output,) = run_in_memory(gpu.run, {"latents": latents}, gpu.release).values()
    assert np.array_equal(output, 2 * latents) and gpu.batches == batches


def test_one_sample_is_tried_again_when_others_have_given_back() -> None:
    gpu = Gpu(0, 1)
    run_in_memory(gpu.run, {"latents": np.ones((1, 4), np.float32)}, gpu.release)
    assert gpu.batches == [1, 1]


def test_what_is_too_large_alone_says_what_it_needs() -> None:
    gpu = Gpu(0, 0)
    with pytest.raises(ResourceExhaustedError, match=r"too small for latents \(1, 4\): Tried to allocate 2.00 GiB"):
        run_in_memory(gpu.run, {"latents": np.ones((3, 4), np.float32)}, gpu.release)
