"""Is an engine right? Its outputs on small random inputs against a reference engine's.

Needed because TensorRT can be wrong without an error: a bias dropped from a refittable product (known issue of 11.3),
weights that a refit did not reach, a float16 that overflowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from triptych.engine.port import Array
from triptych.engine.tensorrt.profiles import Dims, Profile
from triptych.errors import FailedPreconditionError

# Of ||actual - expected|| / ||expected||: what the number format itself costs through a UNet, with room above it.
TOLERANCES = {"fp32": 2e-3, "fp16": 3e-2, "bf16": 1.5e-1}

Infer = Callable[[Mapping[str, Array]], dict[str, Array]]


def probe_inputs(
    dims: Mapping[str, Dims], profile: Profile, which: Literal["least", "best"], vocabulary: int
) -> dict[str, Array]:
    """Random inputs of a profile's least or best size, the batch its best one; always the same ones."""
    random = np.random.default_rng(0)
    inputs: dict[str, Array] = {}
    for name, dim in dims.items():
        shape = (profile.ranges["batch"].best, *profile.shape(dim, which)[1:])
        if name == "input_ids":
            inputs[name] = random.integers(0, vocabulary, shape)
        elif name == "timestep":
            inputs[name] = random.uniform(0, 999, shape).astype(np.float32)
        else:
            inputs[name] = random.standard_normal(shape, dtype=np.float32)
    return inputs


def relative_error(actual: Array, expected: Array) -> float:
    """||actual - expected|| / ||expected||, infinite where a value is not finite or the shape is another."""
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return float("inf")
    difference = np.linalg.norm(actual.astype(np.float64) - expected.astype(np.float64))
    return float(difference / max(float(np.linalg.norm(expected.astype(np.float64))), 1e-12))


def check_outputs(
    engine: Infer, reference: Infer, samples: Sequence[Mapping[str, Array]], precision: str, what: str
) -> float:
    """The largest error over all samples; FailedPreconditionError if it is beyond the precision's tolerance."""
    worst = 0.0
    for inputs in samples:
        expected, actual = reference(inputs), engine(inputs)
        worst = max(worst, *(relative_error(actual[name], array) for name, array in expected.items()))
    if worst > TOLERANCES[precision]:
        raise FailedPreconditionError(
            f"{what} in {precision} is {worst:.3g} away from the reference, more than {TOLERANCES[precision]:g}; it is "
            f"not used. Try another precision, or the engine torch"
        )
    return worst
