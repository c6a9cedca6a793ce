"""Is an engine right? Its outputs on random inputs against a reference engine's, in every profile.

Needed because TensorRT can be wrong without an error: rows of a batch that leak into others, one profile of several, a
bias dropped from a refittable product, weights that a refit did not reach, a float16 that overflowed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from triptych.engine.port import Array
from triptych.engine.tensorrt.network.profiles import Dims, Profile
from triptych.errors import FailedPreconditionError, ResourceExhaustedError

# Of ||actual - expected|| / ||expected||: what the number format itself costs through a UNet, with room above it.
TOLERANCES = {"fp32": 2e-3, "fp16": 3e-2, "bf16": 1.5e-1}
_DISTINCT_ROWS = 2

logger = logging.getLogger("triptych.engine.tensorrt")

Infer = Callable[[Mapping[str, Array]], dict[str, Array]]
InferWith = Callable[[Mapping[str, Array], int], dict[str, Array]]


@dataclass(frozen=True)
class Sample:
    """Inputs for one profile: a few rows, as many as a reference must compute, and which of them each sample is.

    What is not `required` is left out where the GPU has no memory for it: requests of that size then run in parts, or
    are refused.
    """

    profile: int
    required: bool
    rows: Mapping[str, Array]
    order: Sequence[int]

    @property
    def inputs(self) -> dict[str, Array]:
        """The whole batch, in which equal rows stand beside others."""
        return {name: array[list(self.order)] for name, array in self.rows.items()}


def probe_sample(
    dims: Mapping[str, Dims],
    profiles: Sequence[Profile],
    index: int,
    which: Literal["best", "most"],
    below: Mapping[str, int],
) -> Sample:
    """Random inputs of a profile's best or largest size, always the same; `below` bounds those that are indices."""
    profile, random = profiles[index], np.random.default_rng(0)
    batch = int(getattr(profile.ranges["batch"], which))
    rows: dict[str, Array] = {}
    for name, dim in dims.items():
        shape = (min(batch, _DISTINCT_ROWS), *profile.shape(dim, which)[1:])
        if name in below:
            rows[name] = random.integers(0, below[name], shape)
        elif name == "final_norm":
            rows[name] = random.integers(0, 2, shape).astype(np.bool_)
        elif name in ("timestep", "time_ids"):
            rows[name] = random.uniform(0, 999, shape).astype(np.float32)
        else:
            rows[name] = random.standard_normal(shape, dtype=np.float32)
    return Sample(index, which == "best", rows, [sample % _DISTINCT_ROWS for sample in range(batch)])


def relative_error(actual: Array, expected: Array) -> float:
    """||actual - expected|| / ||expected||, infinite where a value is not finite or the shape is another."""
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return float("inf")
    difference = np.linalg.norm(actual.astype(np.float64) - expected.astype(np.float64))
    return float(difference / max(float(np.linalg.norm(expected.astype(np.float64))), 1e-12))


def check_outputs(engine: InferWith, reference: Infer, samples: Sequence[Sample], precision: str, what: str) -> float:
    """The largest error of any row of any sample; FailedPreconditionError if it is beyond the precision's tolerance."""
    known: dict[object, dict[str, Array]] = {}
    worst, where = 0.0, 0
    for sample in samples:
        shapes = tuple(array.shape for array in sample.rows.values())  # equal shapes have equal rows
        if shapes not in known:
            known[shapes] = reference(sample.rows)
        try:
            actual = engine(sample.inputs, sample.profile)
        except ResourceExhaustedError as shortage:
            if sample.required:
                raise
            logger.warning("%s is not compared at the largest size of profile %d: %s", what, sample.profile, shortage)
            continue
        error = max(_row_errors(actual[name], array, sample.order) for name, array in known[shapes].items())
        if error > worst:
            worst, where = error, sample.profile
    if worst > TOLERANCES[precision]:
        raise FailedPreconditionError(
            f"{what} in {precision} is {worst:.3g} away from the reference in its profile {where}, more than "
            f"{TOLERANCES[precision]:g}; it is not used. Try another precision, or the engine torch"
        )
    return worst


def _row_errors(actual: Array, rows: Array, order: Sequence[int]) -> float:
    """The largest error of a row: one that is wrong among 16 would hardly show in the error of all."""
    if len(actual) != len(order):
        return float("inf")
    return max(relative_error(row, rows[number]) for row, number in zip(actual, order, strict=True))
