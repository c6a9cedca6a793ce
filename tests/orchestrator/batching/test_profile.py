"""How large batches may grow follows from what batches took."""

from __future__ import annotations

from triptych_orchestrator.batching.profile import BatchProfile
from triptych_orchestrator.batching.signature import Extent, Kind


def extents(height: int, width: int, tokens: int = 77, tiling: str = "") -> Kind:
    states, latents = ("encoder_hidden_states", (tokens, 768)), ("latents", (4, height, width))
    return Kind(tuple(Extent(name, "<f4", dims) for name, dims in (states, latents)), tiling)


SIZE = extents(64, 64)


def profile(seconds: dict[int, float], times: int = 4) -> BatchProfile:
    made = BatchProfile(16)
    for size, each in seconds.items():
        for _ in range(times):
            made.observe(SIZE, size, each * size)
    return made


def test_nothing_known_means_the_limit() -> None:
    assert BatchProfile(16).cap(SIZE) == 16
    assert profile({2: 1.0}).cap(extents(8, 8)) == 16


def test_pictures_that_tile_are_of_another_graph() -> None:
    made = profile({2: 1.0, 4: 2.0})
    assert (made.cap(SIZE), made.cap(extents(64, 64, tiling="xy"))) == (2, 16)
    made.observe(extents(64, 64, tiling="xy"), 2, 1.0)
    assert [kind.tiling for kind in made.known()] == ["", "xy"]


def test_it_grows_while_a_sample_costs_no_more() -> None:
    assert profile({2: 1.0, 4: 0.6, 8: 0.5, 16: 0.52}).cap(SIZE) == 16
    assert profile({2: 1.0, 4: 1.02}).cap(SIZE) == 16


def test_it_stays_below_what_costs_more() -> None:
    assert profile({2: 1.0, 4: 0.6, 8: 0.9, 16: 0.9}).cap(SIZE) == 4
    assert profile({1: 0.5, 2: 1.0}).cap(SIZE) == 1


def test_sizes_between_count_as_the_next_power_of_two() -> None:
    assert profile({2: 1.0, 3: 2.0}).cap(SIZE) == 2
    assert set(profile({2: 1.0, 3: 2.0, 5: 1.0}).seconds_per_sample(SIZE)) == {2, 4, 8}


def test_the_first_batch_of_a_size_and_few_slow_ones_say_nothing() -> None:
    assert profile({2: 1.0}, times=1).seconds_per_sample(SIZE) == {}
    made = profile({2: 1.0})
    for seconds in (100.0, 9.0, 9.0):
        made.observe(SIZE, 4, seconds)
    assert made.cap(SIZE) == 16
    made.observe(SIZE, 4, 9.0)
    assert made.cap(SIZE) == 2


def observe(made: BatchProfile, samples: int, each: float, times: int = 1) -> None:
    for _ in range(times):
        made.observe(SIZE, samples, each * samples)


def test_the_least_size_found_too_large_is_tried_again_when_that_is_long_ago() -> None:
    made = profile({2: 1.0, 4: 1.5, 8: 1.5})
    observe(made, 2, 1.0, 251)
    assert made.cap(SIZE) == 2
    observe(made, 2, 1.0)
    assert made.cap(SIZE) == 4  # 8 is as old, but one size at a time
    observe(made, 4, 3.0)  # still slow: that much for one batch of many
    assert made.cap(SIZE) == 2
    observe(made, 2, 1.0, 255)
    observe(made, 4, 0.6)  # only the machine was busy, so 8 is the next
    assert made.cap(SIZE) == 16


def test_a_size_that_does_not_come_any_more_is_no_measure() -> None:
    made = profile({1: 0.5, 2: 1.0})
    assert made.cap(SIZE) == 1
    observe(made, 2, 1.0, 256)  # each sent alone, for it is too large
    assert made.cap(SIZE) == 16


def test_one_that_does_not_learn_keeps_the_limit_and_still_reports() -> None:
    made = BatchProfile(8, learns=False)
    for size, each in {2: 1.0, 4: 3.0}.items():
        for _ in range(9):
            made.observe(SIZE, size, each * size)
    assert made.cap(SIZE) == 8
    assert made.seconds_per_sample(SIZE) == {2: 1.0, 4: 3.0}


def test_of_many_sizes_the_latest_are_remembered() -> None:
    made = BatchProfile(16)
    for height in range(100):
        for one in (SIZE, extents(height, 8)):
            for _ in range(2):
                made.observe(one, 1, 1.0)
    assert made.known() == [*(extents(height, 8) for height in range(37, 99)), SIZE, extents(99, 8)]
    assert made.seconds_per_sample(extents(36, 8)) == {} and made.seconds_per_sample(SIZE) == {1: 1.0}


def test_more_tokens_are_another_cost() -> None:
    made = profile({1: 0.5, 2: 1.0})
    assert made.cap(SIZE) == 1 and made.cap(extents(64, 64, tokens=154)) == 16
