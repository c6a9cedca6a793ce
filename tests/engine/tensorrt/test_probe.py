"""The probe tells a right engine from a wrong one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from triptych.engine.port import Array
from triptych.engine.tensorrt.network.profiles import Dims, Profile, Range
from triptych.engine.tensorrt.probe import TOLERANCES, InferWith, check_outputs, probe_sample, relative_error
from triptych.errors import FailedPreconditionError, ResourceExhaustedError

DIMS: dict[str, Dims] = {"latents": ("batch", 3)}
PROFILES = [Profile({"batch": Range(1, 2, 4)}), Profile({"batch": Range(5, 8, 8)})]
SAMPLES = [probe_sample(DIMS, PROFILES, index, which, {}) for index in (0, 1) for which in ("best", "most")]


def right(inputs: Mapping[str, Array], profile: int = 0) -> dict[str, Array]:
    assert PROFILES[profile].holds({"batch": len(inputs["latents"])})
    return {"noise_pred": 3 * inputs["latents"]}


def off(factor: float) -> InferWith:
    return lambda inputs, profile: {"noise_pred": right(inputs, profile)["noise_pred"] * np.float32(1 + factor)}


@pytest.mark.parametrize("precision", list(TOLERANCES))
def test_the_tolerance_is_the_precisions(precision: str) -> None:
    near, far = 0.9 * TOLERANCES[precision], 1.1 * TOLERANCES[precision]
    assert check_outputs(off(near), right, SAMPLES, precision, "it") == pytest.approx(near, rel=1e-2)
    with pytest.raises(FailedPreconditionError, match=f"it in {precision} is .* away from the reference"):
        check_outputs(off(far), right, SAMPLES, precision, "it")


def test_the_reference_computes_each_row_once() -> None:
    asked: list[int] = []

    def reference(inputs: Mapping[str, Array]) -> dict[str, Array]:
        asked.append(len(inputs["latents"]))
        return right(inputs)

    check_outputs(right, reference, SAMPLES, "fp32", "it")
    assert asked == [2]


def test_one_profile_that_is_wrong_is_named() -> None:
    def wrong(inputs: Mapping[str, Array], profile: int) -> dict[str, Array]:
        return off(0.1 if profile == 1 else 0.0)(inputs, profile)

    with pytest.raises(FailedPreconditionError, match="in its profile 1"):
        check_outputs(wrong, right, SAMPLES, "fp16", "it")


def test_a_row_that_leaks_into_another_is_seen() -> None:
    def leaking(inputs: Mapping[str, Array], profile: int) -> dict[str, Array]:
        outputs = right(inputs, profile)["noise_pred"].copy()
        outputs[-1] += np.float32(0.05) * outputs[-2]  # among eight rows, 0.018 of the whole
        return {"noise_pred": outputs}

    with pytest.raises(FailedPreconditionError, match="away from the reference"):
        check_outputs(leaking, right, SAMPLES[3:], "fp16", "it")


def test_a_largest_size_without_memory_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    def small(inputs: Mapping[str, Array], profile: int) -> dict[str, Array]:
        if len(inputs["latents"]) > 2:
            raise ResourceExhaustedError("the GPU's memory is too small")
        return right(inputs, profile)

    assert check_outputs(small, right, SAMPLES[:2], "fp16", "the engine") == 0
    assert "the engine is not compared at the largest size of profile 0" in caplog.text
    with pytest.raises(ResourceExhaustedError):  # the best of another profile, without which it is of no use
        check_outputs(small, right, SAMPLES[2:], "fp16", "the engine")


def test_rows_that_are_missing_are_seen() -> None:
    with pytest.raises(FailedPreconditionError, match="inf away"):
        check_outputs(lambda i, p: {"noise_pred": right(i, p)["noise_pred"][:1]}, right, SAMPLES, "fp16", "it")


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_is_wrong(broken: float) -> None:
    array = np.ones(4, np.float32)
    assert relative_error(np.full(4, broken, np.float32), array) == float("inf")
    assert relative_error(np.ones(3, np.float32), array) == float("inf")
    assert relative_error(np.zeros(4, np.float32), array) == 1.0
    assert relative_error(array, array) == 0.0
