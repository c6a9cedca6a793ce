"""The probe tells a right engine from a wrong one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from triptych.engine.port import Array
from triptych.engine.tensorrt.probe import TOLERANCES, check_outputs, relative_error
from triptych.errors import FailedPreconditionError

SAMPLE: dict[str, Array] = {"latents": np.arange(1.0, 9.0, dtype=np.float32)}


def right(inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {"noise_pred": 3 * inputs["latents"]}


def off(factor: float) -> dict[str, Array]:
    return {"noise_pred": right(SAMPLE)["noise_pred"] * np.float32(1 + factor)}


@pytest.mark.parametrize("precision", list(TOLERANCES))
def test_the_tolerance_is_the_precisions(precision: str) -> None:
    near, far = 0.9 * TOLERANCES[precision], 1.1 * TOLERANCES[precision]
    assert check_outputs(lambda _: off(near), right, [SAMPLE], precision, "it") == pytest.approx(near, rel=1e-2)
    with pytest.raises(FailedPreconditionError, match=f"it in {precision} is .* away from the reference"):
        check_outputs(lambda _: off(far), right, [SAMPLE, SAMPLE], precision, "it")


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_is_wrong(broken: float) -> None:
    array = np.ones(4, np.float32)
    assert relative_error(np.full(4, broken, np.float32), array) == float("inf")
    assert relative_error(np.ones(3, np.float32), array) == float("inf")
    assert relative_error(np.zeros(4, np.float32), array) == 1.0
    assert relative_error(array, array) == 0.0
