"""Whole parameters: what is added to one (LyCORIS' full, norms), or what one is to be (PEFT's modules_to_save)."""

from __future__ import annotations

from triptych.lora.algorithms.base import Algorithm, Array, Numbers, Options, Role, Shape, Shapes, squeezed


class _Whole(Algorithm):
    """A layer's weight, or its bias, or both: the parts by role."""

    of: dict[Role, str]

    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """Nothing, for every shape may be a parameter's."""
        return None

    def roles(self, shapes: Shapes, options: Options) -> tuple[Role, ...]:
        """Those that are there."""
        return tuple(role for role, part in self.of.items() if part in shapes)

    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """Only the same shape."""
        return squeezed(shapes[self.of[role]]) == squeezed(shape)

    def inputs(self, shapes: Shapes) -> int | None:
        """Columns of the weight."""
        shape = shapes.get(self.of["weight"], ())
        return shape[1] if len(shape) > 1 else None


class _Added(_Whole):
    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """The tensor."""
        return numbers[self.of[role]]


class Difference(_Added):
    """diff and diff_b."""

    name = "full"
    marks = frozenset({"diff", "diff_b"})
    parts = marks
    of = {"weight": "diff", "bias": "diff_b"}  # noqa: RUF012


class NormDifference(_Added):
    """w_norm and b_norm."""

    name = "norm"
    marks = frozenset({"w_norm", "b_norm"})
    parts = marks
    of = {"weight": "w_norm", "bias": "b_norm"}  # noqa: RUF012


class Saved(_Whole):
    """weight and bias, as they are to be at weight 1."""

    name = "whole parameters"
    marks = frozenset({"weight", "bias"})
    parts = marks
    of = {"weight": "weight", "bias": "bias"}  # noqa: RUF012

    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """How far the tensor is from the checkpoint's own."""
        return numbers[self.of[role]].reshape(base.shape) - base
