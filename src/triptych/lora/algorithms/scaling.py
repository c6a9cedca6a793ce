"""(IA)^3: outputs or inputs multiplied by a learned vector (Liu et al., arXiv:2205.05638), by LyCORIS and by PEFT.

LyCORIS: W' = W * (1 + w), along the inputs where `on_input` is not 0. PEFT: W' = W * l, along the inputs for what its
configuration calls feed-forward modules; along the outputs its bias is multiplied too.
"""

from __future__ import annotations

import math

import numpy as np

from triptych.lora.algorithms.base import Algorithm, Array, Numbers, Options, Role, Shape, Shapes, missing

_MATRIX = 2


class Scaling(Algorithm):
    """weight, a vector, and on_input, one number."""

    name = "(IA)^3"
    marks = frozenset({"on_input"})
    parts = frozenset({"on_input", "weight"})

    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """More than a vector and a number."""
        if problem := missing(shapes, "weight"):
            return problem
        if math.prod(shapes["on_input"]) != 1:
            return f"on_input must be one number, not {shapes['on_input']}"
        return _no_vector(shapes["weight"])

    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """Outputs or inputs: which of them, only on_input's value says."""
        return len(shape) > 1 and math.prod(shapes["weight"]) in shape[:2]

    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """The weight's own numbers, each times its factor."""
        return _times(base, numbers["weight"].ravel(), bool(numbers["on_input"].item()))


class PeftScaling(Algorithm):
    """ia3_l [out, 1] or [1, in]; of a convolution [1, out or in, 1, 1]."""

    name = "(IA)^3"
    marks = frozenset({"ia3_l"})
    parts = marks
    multiplies = True

    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """More than a vector, or a convolution's of which nothing says whether inputs are meant."""
        if len(shapes["ia3_l"]) > _MATRIX and "is_feedforward" not in options:
            return "only its adapter_config.json says whether inputs or outputs are meant; send the folder"
        return _no_vector(shapes["ia3_l"])

    def roles(self, shapes: Shapes, options: Options) -> tuple[Role, ...]:
        """The bias too, unless the inputs are meant."""
        return ("weight",) if _on_inputs(shapes["ia3_l"], options) else ("weight", "bias")

    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """Outputs or inputs."""
        vector = shapes["ia3_l"]
        if role == "bias":
            return shape == (math.prod(vector),)
        if len(shape) < _MATRIX:
            return False
        return vector in ((shape[0], 1), (1, shape[1])) if len(vector) == _MATRIX else vector[1] in shape[:2]

    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """What the factors, which are about 1, change."""
        vector = numbers["ia3_l"]
        factors = vector.ravel() - np.float32(1)
        if role == "bias":
            return base * factors
        return _times(base, factors, _on_inputs(vector.shape, numbers.options))


def _on_inputs(shape: Shape, options: Options) -> bool:
    return shape[0] == 1 and shape[1] > 1 if len(shape) == _MATRIX else bool(options.get("is_feedforward"))


def _no_vector(shape: Shape) -> str | None:
    return None if max(shape, default=1) == math.prod(shape) else f"shape {shape} is no vector's"


def _times(base: Array, factors: Array, on_inputs: bool) -> Array:
    form = (1, -1) if on_inputs else (-1, 1)
    return base * factors.reshape(form + (1,) * (base.ndim - len(form)))
