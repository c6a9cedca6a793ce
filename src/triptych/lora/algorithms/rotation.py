"""OFT: outputs turned, block by block, by orthogonal matrices (Qiu et al., arXiv:2306.07280), by kohya and LyCORIS.

Q = B - B^T, no larger than alpha * out where alpha is not 0; R = (I + Q) (I - Q)^-1; W' = rescale * R^T W for each
block of outputs. `oft_diag`, which LyCORIS wrote at first, is R itself.
"""

from __future__ import annotations

import math

import numpy as np

from triptych.lora.algorithms.base import Algorithm, Array, Numbers, Options, Role, Shape, Shapes, is_sized, rows

_BLOCKS = 3
_STAGES = 4


class Rotation(Algorithm):
    """oft_blocks or oft_diag [blocks, size, size] and rescale [out, ...]; of BOFT, oft_blocks [stages, blocks, ...]."""

    name = "OFT"
    marks = frozenset({"oft_blocks", "oft_diag"})
    parts = marks | {"rescale", "alpha"}

    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """Blocks that are not square, or unlike the rescaling."""
        if self.marks <= shapes.keys():
            return "oft_blocks and oft_diag are both there"
        part, shape = _blocks_of(shapes)
        if (
            shape[-1] != shape[-2]
            or len(shape) not in (_BLOCKS, _STAGES)
            or (part, len(shape)) == ("oft_diag", _STAGES)
        ):
            return f"{part} {shape} are no square blocks"
        if len(shape) == _STAGES and (shape[-1] % 2 or shape[1] % 2 ** (shape[0] - 1)):
            return f"{part} {shape} are no stages of a butterfly"
        if "rescale" in shapes and math.prod(shapes["rescale"]) != _outputs(shape):
            return f"rescale {shapes['rescale']} does not fit {part} {shape}"
        return None

    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """By outputs alone."""
        return is_sized(shape, _outputs(_blocks_of(shapes)[1]))

    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """How far the weight is turned."""
        weight = rows(base)
        turned = _turned(_rotations(numbers, len(weight)), weight)
        rescale = numbers.get("rescale")
        return (turned if rescale is None else turned * rescale.reshape(-1, 1)) - weight

    def kind(self, shapes: Shapes) -> str:
        """BOFT where there are stages."""
        return "BOFT" if len(_blocks_of(shapes)[1]) == _STAGES else self.name

    def rank(self, shapes: Shapes) -> int:
        """The size of a block."""
        return _blocks_of(shapes)[1][-1]


def _blocks_of(shapes: Shapes) -> tuple[str, Shape]:
    part = "oft_blocks" if "oft_blocks" in shapes else "oft_diag"
    shape = shapes[part]
    return part, shape if len(shape) > 1 else (*shape, 0, 1)


def _outputs(shape: Shape) -> int:
    return shape[-3] * shape[-1]


def _rotations(numbers: Numbers, outputs: int) -> Array:
    blocks = numbers.get("oft_blocks")
    if blocks is None:
        return numbers["oft_diag"]
    skew = blocks - blocks.swapaxes(-1, -2)
    if numbers.alpha:
        norm = float(np.linalg.norm(skew)) + 1e-8
        skew *= np.float32(min(1.0, numbers.alpha * outputs / norm))
    identity = np.eye(blocks.shape[-1], dtype=np.float32)
    return (identity + skew) @ np.linalg.inv(identity - skew)


def _turned(rotations: Array, weight: Array) -> Array:
    size = rotations.shape[-1]
    if rotations.ndim == _BLOCKS:
        turned: Array = rotations.swapaxes(1, 2) @ weight.reshape(-1, size, weight.shape[1])
        return turned.reshape(weight.shape)
    for stage, blocks in enumerate(rotations):
        weight = _butterfly(blocks, weight, 2**stage * size // 2)
    return weight


def _butterfly(blocks: Array, weight: Array, stride: int) -> Array:
    """BOFT's stage (Liu et al., arXiv:2311.06243): blocks of rows that lie `stride` apart."""
    columns = weight.shape[1]
    size = blocks.shape[-1]
    apart = weight.reshape(-1, 2, stride, columns).swapaxes(1, 2).reshape(-1, size, columns)
    turned: Array = (blocks @ apart).reshape(-1, stride, 2, columns).swapaxes(1, 2)
    return turned.reshape(weight.shape)
