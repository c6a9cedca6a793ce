from __future__ import annotations

import pytest

from triptych.gpu_check.budget import Budget, Estimates, NoTimeError
from triptych.gpu_check.measures import MEASURES, Measuring, estimate_s
from triptych.gpu_check.plan import Row
from triptych.gpu_check.running import Made, Picture
from triptych.gpu_check.sides import SIDES


def test_what_needs_more_than_is_left_is_not_begun() -> None:
    now = [100.0]
    budget = Budget(60.0, lambda: now[0])
    budget.require(59.0)
    now[0] += 20
    assert budget.left_s() == 40
    with pytest.raises(NoTimeError, match="40 s were left, about 59 s are needed"):
        budget.require(59.0)
    now[0] += 100
    with pytest.raises(NoTimeError, match="0 s were left"):
        budget.require(0.0)


def test_pictures_are_estimated_from_those_that_were_made() -> None:
    estimates = Estimates()
    assert estimates.picture_s("sd15", "torch", 512) == 5.0
    assert estimates.picture_s("sd15", "torch", 1024) > 20.0
    estimates.learn_picture("sd15", "diffusers", 512, 2.0)
    assert estimates.picture_s("sd15", "torch", 512) == 2.0
    assert 8.0 < estimates.picture_s("sd15", "torch", 1024) < 32.0
    estimates.learn_picture("sd15", "torch", 768, 3.0)
    assert estimates.picture_s("sd15", "torch", 512) == 3.0  # one that is larger takes no less
    assert estimates.picture_s("sd21", "torch", 512) == 5.0


def test_starts_are_estimated_from_the_same_side() -> None:
    estimates = Estimates()
    assert estimates.start_s("sd15", "tensorrt", 420.0) == 420.0
    estimates.learn_start("sd15", "tensorrt", 700.0)
    assert estimates.start_s("sd21", "tensorrt", 420.0) == 700.0
    estimates.learn_start("sd15", "tensorrt", 30.0)  # from the cache
    assert estimates.start_s("sd15", "tensorrt", 420.0) == 30.0
    assert estimates.start_s("sd21", "tensorrt", 420.0) == 700.0  # whose engines are not built yet


@pytest.mark.parametrize("kind", MEASURES)
def test_every_kind_of_row_has_an_estimate(kind: str) -> None:
    assert 0 < estimate_s(Row("sd15", SIDES[1], kind, 512), Estimates(), 50, 3) < 300


class Counting:
    """A side that makes no pictures, and knows how many steps they would have had."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def make(self, picture: Picture, timeout_s: float) -> Made:
        self.steps.append(picture.steps)
        return Made(step_samples=(1,))


@pytest.mark.parametrize("steps", [2, 6, 50])
@pytest.mark.parametrize("kind", ["picture", "lora", "eight", "swap"])
def test_an_estimate_is_what_the_row_does(kind: str, steps: int) -> None:
    row, counting, estimates = Row("sd15", SIDES[0], kind, 512), Counting(), Estimates()
    MEASURES[kind](Measuring(row, counting, Budget(60.0), steps, 3, lambda: 0, 0.01, 0))
    estimates.learn_picture("sd15", "diffusers", 512, steps)  # a second for each step
    assert estimate_s(row, estimates, steps, 3) == pytest.approx(sum(counting.steps))
