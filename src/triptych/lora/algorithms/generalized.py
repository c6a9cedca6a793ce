"""GLoRA: a low-rank product, and another one that the weight itself is multiplied by (Chavan et al., arXiv:2306.07967).

W' = W + alpha / rank * (W a1 a2 + b1 b2), as LyCORIS has it, by the root of the rank where it was trained so; before
version 3 the factors had each other's names.
"""

from __future__ import annotations

import math

import numpy as np

from triptych.lora.algorithms.base import Algorithm, Array, Numbers, Options, Role, Shape, Shapes, missing, rows

_FACTORS = ("a1", "a2", "b1", "b2")


class Generalized(Algorithm):
    """a1 [in, rank], a2 [rank, in], b1 [out, rank], b2 [rank, in, ...]; or a2, a1, b2, b1."""

    name = "GLoRA"
    marks = frozenset(_FACTORS)
    parts = marks | {"alpha"}

    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """Factors that are not there or no matrices."""
        if problem := missing(shapes, *_FACTORS):
            return problem
        wrong = next((part for part in _FACTORS if len(shapes[part]) < 2), None)
        return f"{wrong} {shapes[wrong]} is no matrix" if wrong else None

    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """By outputs, inputs and kernel, in one of both orders."""
        return len(shape) > 1 and (_matches(shapes, shape, _FACTORS) or _matches(shapes, shape, _formerly()))

    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """Both products."""
        shapes = {part: numbers[part].shape for part in _FACTORS}
        names = _FACTORS if _matches(shapes, base.shape, _FACTORS) else _formerly()
        a1, a2, b1, b2 = (rows(numbers[name]) for name in names)
        inputs = base.shape[1]
        # Along the inputs, whatever kernel comes after them.
        turned = np.moveaxis(base, 1, -1).reshape(-1, inputs) @ a1 @ a2
        moved = np.moveaxis(base, 1, -1).shape
        product = rows(np.ascontiguousarray(np.moveaxis(turned.reshape(moved), -1, 1)))
        rank = len(a2)
        scale = numbers.scale(rank) * (math.sqrt(rank) if numbers.is_rank_stabilized else 1.0)
        return (product + b1 @ b2) * np.float32(scale)

    def rank(self, shapes: Shapes) -> int:
        """The least extent, for what is a row and what a column the layer's shape says."""
        return min(shapes["a1"][:2])

    def inputs(self, shapes: Shapes) -> int | None:
        """The other extent."""
        return max(shapes["a1"][:2])


def _formerly() -> tuple[str, ...]:
    return "a2", "a1", "b2", "b1"


def _matches(shapes: Shapes, shape: Shape, names: tuple[str, ...]) -> bool:
    a1, a2, b1, b2 = ((shapes[name][0], math.prod(shapes[name][1:])) for name in names)
    (outputs, inputs), rank = shape[:2], a2[0]
    return (a1, a2, b1, b2) == ((inputs, rank), (rank, inputs), (outputs, rank), (rank, math.prod(shape[1:])))
