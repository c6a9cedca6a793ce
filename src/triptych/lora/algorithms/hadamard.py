"""LoHa: the product, number by number, of two products of low rank (Hyeon-Woo et al., FedPara, arXiv:2108.06098).

W' = W + alpha / rank * (w1_a @ w1_b) * (w2_a @ w2_b); in Tucker form each product is a core's with two factors.
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
    rows,
)

_FACTORS = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
_CORES = ("hada_t1", "hada_t2")


class Hadamard(Algorithm):
    """w_a [out, rank] and w_b [rank, in * ...]; with cores t [rank, rank, ...] w_a [rank, out] and w_b [rank, in]."""

    name = "LoHa"
    marks = frozenset({*_FACTORS, *_CORES})
    parts = marks | MAGNITUDES | {"alpha"}

    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """Factors that cannot be multiplied, or whose products differ in shape."""
        if problem := missing(shapes, *_FACTORS, *(_CORES if shapes.keys() & set(_CORES) else ())):
            return problem
        if any(len(shapes[part]) < 2 for part in _FACTORS):
            return "its factors are no matrices"
        if "hada_t1" in shapes:
            for core, outer, inner in (("hada_t1", *_FACTORS[:2]), ("hada_t2", *_FACTORS[2:])):
                if problem := tucker.problem(shapes, core, outer, inner):
                    return problem
        elif any(shapes[a][1] != shapes[b][0] for a, b in (_FACTORS[:2], _FACTORS[2:])):
            return f"its factors {', '.join(str(shapes[part]) for part in _FACTORS)} are of different rank"
        if _sizes(shapes, 1) != _sizes(shapes, 2):
            return "its two products are of different shape"
        return None

    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """By outputs and what belongs to each."""
        return is_sized(shape, *_sizes(shapes, 1))

    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """The product of the products."""
        scale = np.float32(numbers.scale(len(numbers["hada_w1_b"])))
        return _product(numbers, 1) * _product(numbers, 2) * scale

    def rank(self, shapes: Shapes) -> int:
        """Of each product; that of the whole is up to its square."""
        return shapes["hada_w1_b"][0]

    def inputs(self, shapes: Shapes) -> int | None:
        """Columns of the second factor, which for a convolution without cores are more."""
        return shapes["hada_w1_b"][1]


def _sizes(shapes: Shapes, number: int) -> tuple[int, int]:
    outer, inner, core = shapes[f"hada_w{number}_a"], shapes[f"hada_w{number}_b"], shapes.get(f"hada_t{number}")
    if core is None:
        return outer[0], math.prod(inner[1:])
    return outer[1], inner[1] * math.prod(core[2:])


def _product(numbers: Numbers, number: int) -> Array:
    outer, inner, core = numbers[f"hada_w{number}_a"], numbers[f"hada_w{number}_b"], numbers.get(f"hada_t{number}")
    if core is None:
        return rows(outer) @ rows(inner)
    return rows(tucker.rebuilt(core, outer, inner))
