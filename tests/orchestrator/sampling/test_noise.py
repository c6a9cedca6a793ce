"""The noise stream against torch's own CPU generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych_orchestrator.sampling.noise import Generator, draw

SEEDS = (0, 1, 42, 2**32 - 1, 2**32 + 5, 2**63 - 1, 2**64 - 1, -1)
ATOL = 1e-6
"""Torch's vector logarithm, sine and cosine are a few units in the last place away from the exact ones."""


def torch_generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def check(ours: NDArray[np.float32], theirs: torch.Tensor) -> None:
    assert ours.dtype == np.float32
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=ATOL)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "shape",
    [(1, 4, 64, 64), (3, 4, 24, 40), (16,), (17,), (31,), (1000,), (1, 4, 7, 9), (1,), (2, 4), (15,), (0,)],
)
def test_one_draw_equals_torch(seed: int, shape: tuple[int, ...]) -> None:
    check(Generator(seed).randn(shape), torch.randn(shape, generator=torch_generator(seed)))


@pytest.mark.parametrize("seed", SEEDS)
def test_later_draws_continue_torchs_stream(seed: int) -> None:
    """Odd small draws leave a kept value behind, and block draws in between leave it alone."""
    ours, theirs = Generator(seed), torch_generator(seed)
    for shape in [
        (1, 4, 8, 8),
        (3,),
        (17,),
        (1,),
        (1, 4, 9, 9),
        (16,),
        (5,),
        (5,),
        (2, 4, 3, 5),
        (14,),
        (1, 4, 8, 8),
    ]:
        check(ours.randn(shape), torch.randn(shape, generator=theirs))


def test_the_uniforms_are_torchs_bits() -> None:
    """The difference left is the functions', not the stream's: most normals are equal to the last bit."""
    ours = Generator(7).randn((100_000,))
    theirs = torch.randn((100_000,), generator=torch_generator(7)).numpy()
    in_last_place = np.abs(ours.view(np.int32).astype(np.int64) - theirs.view(np.int32))
    assert np.median(in_last_place) == 0
    assert in_last_place.max() <= 8


def test_one_generator_draws_the_whole_batch() -> None:
    ours, theirs = [Generator(5)], torch_generator(5)
    for _ in range(3):
        check(draw(ours, (3, 4, 8, 9)), torch.randn((3, 4, 8, 9), generator=theirs))


def test_a_list_draws_one_sample_each_as_randn_tensor() -> None:
    from diffusers.utils.torch_utils import randn_tensor

    seeds = (5, 6, 5)
    ours, theirs = [Generator(seed) for seed in seeds], [torch_generator(seed) for seed in seeds]
    for _ in range(3):
        check(draw(ours, (3, 4, 8, 9)), randn_tensor((3, 4, 8, 9), generator=theirs))


def test_a_list_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 generators"):
        draw([Generator(1), Generator(2)], (3, 4, 8, 8))
