"""OFT and BOFT as PEFT has them: inputs turned, where kohya and LyCORIS turn outputs.

OFT: Q from the numbers above its diagonal; R = (I - Q) (I + Q)^-1, or by default the first terms of Neumann's series of
it; W' = W R^T (PEFT, tuners/oft/layer.py). BOFT: Q = (B - B^T) / 2 in each of several stages, whose rows are permuted,
W' = s * W (R_n ... R_1)^T (tuners/boft/layer.py).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from triptych.lora.algorithms.base import (
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

# PEFT's own, where a configuration leaves them out.
_TERMS = 5
_COFT_EPS = 6e-5
_STAGES = 4


class PeftRotation(Algorithm):
    """oft_R [blocks, size * (size - 1) / 2]; one block where all inputs share it."""

    name = "OFT"
    marks = frozenset({"oft_R"})
    parts = marks

    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """Not the numbers above a diagonal."""
        shape = shapes["oft_R"]
        return f"oft_R {shape} are no rotations" if len(shape) != 2 or not _block_size(shape[1]) else None

    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """By inputs alone."""
        blocks, numbers = shapes["oft_R"]
        inputs, size = math.prod(shape[1:]), _block_size(numbers)
        return len(shape) > 1 and (inputs == blocks * size or (blocks == 1 and inputs % size == 0))

    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """How far the weight is turned."""
        weight = rows(base)
        turns = _rotations(numbers)
        blocks = weight.reshape(len(weight), -1, turns.shape[-1])
        turned: Array = blocks.swapaxes(0, 1) @ turns.swapaxes(1, 2)
        return turned.swapaxes(0, 1).reshape(weight.shape) - weight

    def rank(self, shapes: Shapes) -> int:
        """The size of a block."""
        return _block_size(shapes["oft_R"][1])


class PeftButterfly(Algorithm):
    """boft_R [stages, blocks, size, size] and boft_s, out numbers."""

    name = "BOFT"
    marks = frozenset({"boft_R", "boft_s"})
    parts = marks

    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """Blocks that are not square or do not make a butterfly."""
        if problem := missing(shapes, "boft_R", "boft_s"):
            return problem
        shape = shapes["boft_R"]
        if len(shape) != _STAGES or shape[2] != shape[3]:
            return f"boft_R {shape} are no square blocks"
        if shape[0] > 1 and (shape[3] % 2 or shape[1] % 2 ** (shape[0] - 1)):
            return f"boft_R {shape} are no stages of a butterfly"
        return None

    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """By inputs, and outputs."""
        _, blocks, size, _ = shapes["boft_R"]
        return is_sized(shape, math.prod(shapes["boft_s"]), blocks * size)

    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """How far the weight is turned, and how much it grows."""
        blocks, weight = numbers["boft_R"], rows(base)
        turns = _cayley((blocks - blocks.swapaxes(-1, -2)) / np.float32(2))
        turned = weight.T
        for stage, rotation in enumerate(turns):
            order = _order(len(turned), blocks.shape[1] // 2**stage, blocks.shape[3] // 2, len(turns))
            apart = np.empty_like(turned)
            apart[order] = turned
            apart = (rotation @ apart.reshape(len(rotation), -1, weight.shape[0])).reshape(turned.shape)
            turned = apart[order]
        return turned.T * numbers["boft_s"].reshape(-1, 1) - weight

    def rank(self, shapes: Shapes) -> int:
        """The size of a block."""
        return shapes["boft_R"][3]


def _block_size(numbers: int) -> int:
    """The n for which n * (n - 1) / 2 is that; 0 if there is none."""
    size = (1 + math.isqrt(1 + 8 * numbers)) // 2
    return size if numbers and size * (size - 1) // 2 == numbers else 0


def _rotations(numbers: Numbers) -> Array:
    upper, options = numbers["oft_R"], numbers.options
    size = _block_size(upper.shape[1])
    skew = np.zeros((len(upper), size, size), np.float32)
    skew[:, *np.triu_indices(size, 1)] = upper
    skew -= skew.swapaxes(1, 2)
    if options.get("coft"):
        most = options.get("eps", _COFT_EPS) / math.sqrt(len(upper))
        norms = np.linalg.norm(skew, axis=(1, 2), keepdims=True)
        skew *= np.minimum(np.float32(1), np.float32(most) / np.maximum(norms, np.finfo(np.float32).tiny))
    if options.get("use_cayley_neumann", True):
        return _neumann(skew, int(options.get("num_cayley_neumann_terms", _TERMS)))
    return _cayley(skew)


def _cayley(skew: Array) -> Array:
    identity = np.eye(skew.shape[-1], dtype=np.float32)
    return (identity - skew) @ np.linalg.inv(identity + skew)


def _neumann(skew: Array, terms: int) -> Array:
    """I + 2 Q + 2 Q^2 + ... + Q^(terms - 1), in PEFT's sign and with its last term taken once."""
    turns = np.broadcast_to(np.eye(skew.shape[-1], dtype=np.float32), skew.shape).copy()
    if terms > 1:
        turns += 2 * skew
    if terms > 2:
        power: Array = skew @ skew
        turns += 2 * power
        for _ in range(3, terms - 1):
            power = power @ skew
            turns += 2 * power
        turns += power @ skew
    return turns


def _order(inputs: int, blocks: int, half: int, stages: int) -> npt.NDArray[np.intp]:
    """PEFT's block_butterfly_perm: in each block, every second half first."""
    order = np.arange(inputs)
    if stages == 1:
        return order
    halves = order.reshape(blocks, -1, half)
    halves_first: npt.NDArray[np.intp] = np.concatenate([halves[:, 0::2], halves[:, 1::2]], axis=1).ravel()
    return halves_first
