"""LoKr: the Kronecker product of two matrices, each whole or of low rank (Edalati et al., KronA, arXiv:2212.10650).

W' = W + alpha / rank * kron(w1, w2), as LyCORIS has it. Where both are whole there is no rank, and the scale is 1; PEFT
takes the rank of its configuration then, and LyCORIS' rank-stabilised scale is the root of the rank that it was told,
of which its alpha is the power of one and a half.
"""

from __future__ import annotations

import math

import numpy as np

from triptych.lora.algorithms import tucker
from triptych.lora.algorithms.base import (
    MAGNITUDES,
    Algorithm,
    Array,
    Numbers,
    Options,
    Role,
    Shape,
    Shapes,
    is_sized,
    missing,
)

_W1, _W2 = ("lokr_w1", "lokr_w1_a", "lokr_w1_b"), ("lokr_w2", "lokr_w2_a", "lokr_w2_b")
_CORE = "lokr_t2"


class Kronecker(Algorithm):
    """w1 [a, c] or w1_a [a, rank] @ w1_b [rank, c]; w2 [b, d, ...] likewise; out = a * b, in = c * d."""

    name = "LoKr"
    marks = frozenset({*_W1, *_W2, _CORE})
    parts = marks | MAGNITUDES | {"alpha"}

    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """Halves that are not there, or cannot be multiplied."""
        for whole, outer, inner in (_W1, _W2):
            if whole in shapes:
                continue
            if problem := missing(shapes, outer, inner):
                return problem if shapes.keys() & {outer, inner} else f"its {whole} is missing; is the file complete?"
            if len(shapes[outer]) != 2 or len(shapes[inner]) < 2:
                return f"{outer} and {inner} are no matrices"
            if outer == "lokr_w2_a" and _CORE in shapes:
                if problem := tucker.problem(shapes, _CORE, outer, inner):
                    return problem
            elif shapes[outer][1] != shapes[inner][0]:
                return f"{outer} {shapes[outer]} and {inner} {shapes[inner]} are of different rank"
        if len(_first(shapes)) != 2 or len(_second(shapes)) < 2:
            return "lokr_w1 is no matrix, or lokr_w2 no layer's weight"
        return None

    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """By outputs and what belongs to each."""
        (a, c), (b, *rest) = _first(shapes), _second(shapes)
        return is_sized(shape, a * b, c * math.prod(rest))

    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """The product of the halves."""
        first, second = numbers.get("lokr_w1"), numbers.get("lokr_w2")
        rank = 0
        if first is None:
            first, rank = numbers["lokr_w1_a"] @ numbers["lokr_w1_b"], len(numbers["lokr_w1_b"])
        if second is None:
            outer, inner, core = numbers["lokr_w2_a"], numbers["lokr_w2_b"], numbers.get(_CORE)
            second = np.tensordot(outer, inner, 1) if core is None else tucker.rebuilt(core, outer, inner)
            rank = len(inner)
        first = first.reshape(first.shape + (1,) * (second.ndim - 2))
        scale = numbers.scale(rank) if rank else _whole_scale(numbers)
        product: Array = np.kron(first, second) * np.float32(scale)
        return product

    def rank(self, shapes: Shapes) -> int:
        """Of the half that has one."""
        return next((shapes[part][0] for part in ("lokr_w2_b", "lokr_w1_b") if part in shapes), 0)

    def inputs(self, shapes: Shapes) -> int | None:
        """Of both halves."""
        return _first(shapes)[1] * _second(shapes)[1]


def _whole_scale(numbers: Numbers) -> float:
    """Where no half says a rank."""
    if numbers.is_rank_stabilized and numbers.alpha is not None:
        return math.cbrt(numbers.alpha)
    return float(numbers.options.get("whole_scale", 1.0))


def _first(shapes: Shapes) -> Shape:
    return shapes["lokr_w1"] if "lokr_w1" in shapes else (shapes["lokr_w1_a"][0], shapes["lokr_w1_b"][1])


def _second(shapes: Shapes) -> Shape:
    if "lokr_w2" in shapes:
        return shapes["lokr_w2"]
    outer, inner, core = shapes["lokr_w2_a"], shapes["lokr_w2_b"], shapes.get(_CORE)
    return (outer[0], *inner[1:]) if core is None else (outer[1], inner[1], *core[2:])
