"""LoRA (Hu et al., arXiv:2106.09685) and LoCon, its form for convolutions, and PEFT's bias of the second factor.

W' = W + alpha / rank * up @ down (section 4.1; `down` is their A, `up` their B). A convolution's `down` has its kernel;
in Tucker form (CP in LyCORIS) a third factor in between, `mid`, has it.
"""

from __future__ import annotations

import math

import numpy as np

from triptych.lora.algorithms.base import (
    MAGNITUDES,
    Algorithm,
    Array,
    Numbers,
    Options,
    Role,
    Shape,
    Shapes,
    missing,
    squeezed,
)

_MATRIX, _CONVOLUTION = 2, 4


class LowRank(Algorithm):
    """down [rank, in, ...], up [out, rank, ...], mid [rank, rank, height, width]."""

    name = "LoRA"
    marks = frozenset({"down", "up", "mid", "lora_B_bias"})
    parts = marks | MAGNITUDES | {"alpha"}

    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """Factors of unlike rank, or of no layer's form."""
        if problem := missing(shapes, "down", "up"):
            return problem
        for part in ("down", "up", "mid"):
            if part in shapes and len(shapes[part]) not in (_MATRIX, _CONVOLUTION):
                return f"shape {shapes[part]} is neither a matrix' nor a convolution's"
        down, up, mid = shapes["down"], shapes["up"], shapes.get("mid")
        if up[1] != down[0]:
            return f"down {down} and up {up} are of different rank"
        if math.prod(up[2:]) != 1:
            return f"up {up} is a convolution larger than 1x1"
        if mid is not None and (len(mid) != _CONVOLUTION or mid[:2] != (down[0], down[0]) or math.prod(down[2:]) != 1):
            return f"mid {mid} does not fit between down {down} and up {up}"
        return None

    def roles(self, shapes: Shapes, options: Options) -> tuple[Role, ...]:
        """The bias too where the second factor has one."""
        return ("weight", "bias") if "lora_B_bias" in shapes else ("weight",)

    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """By outputs, inputs and kernel."""
        if role == "bias":
            return shapes["lora_B_bias"] == shape
        kernel = shapes["mid"][2:] if "mid" in shapes else shapes["down"][2:]
        return squeezed((shapes["up"][0], shapes["down"][1], *kernel)) == squeezed(shape)

    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """The product of the factors."""
        if role == "bias":
            return numbers["lora_B_bias"] * np.float32(numbers.scale(len(numbers["down"])))
        up, down = self.factors(numbers)
        return up @ down

    def factors(self, numbers: Numbers) -> tuple[Array, Array]:
        """The scaled up [out, rank], and down [rank, in * height * width]."""
        rank = len(numbers["down"])
        up = numbers["up"].reshape(-1, rank) * np.float32(numbers.scale(rank))
        down = numbers["down"].reshape(rank, -1)
        mid = numbers.get("mid")
        return up, down if mid is None else _with_kernel(mid, down)

    def rank(self, shapes: Shapes) -> int:
        """Rows of `down`."""
        return shapes["down"][0]

    def inputs(self, shapes: Shapes) -> int | None:
        """Columns of `down`."""
        return shapes["down"][1]


def _with_kernel(mid: Array, down: Array) -> Array:
    """The Tucker form's [rank, rank, height, width] and [rank, in] as one [rank, in * height * width]."""
    rank, _, height, width = mid.shape
    kernels = mid.transpose(0, 2, 3, 1).reshape(-1, rank) @ down
    return kernels.reshape(rank, height, width, -1).transpose(0, 3, 1, 2).reshape(rank, -1)
