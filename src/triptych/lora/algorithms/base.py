"""The port behind which every algorithm stands: from a module's tensors, and the layer they are for, to what is added.

Whatever the algorithm, a set's weights are W + sum over adapters of weight * delta(W), each delta from the checkpoint's
own W: at weight 1 an adapter alone gives what it was trained to, at 0 nothing, and the order of a set means nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
"""Of a module's tensors, by part."""
Role = Literal["weight", "bias"]
"""Which parameter of a layer is meant."""
Options = Mapping[str, Any]
"""What is said beside the tensors, for one module: by PEFT's configuration, or of LyCORIS' training; or nothing."""
RANK_STABILIZED = "rank_stabilized"
"""Of LyCORIS: it divided by the root of the rank."""

MAGNITUDES = frozenset({"dora_scale", "lora_magnitude_vector"})
"""DoRA's parts, which any algorithm may have that adds to a weight."""


@dataclass(frozen=True)
class Numbers:
    """A module's tensors in float32, by part; `alpha` None stands for the rank."""

    parts: Mapping[str, Array]
    alpha: float | None = None
    options: Options = field(default_factory=dict)

    def __getitem__(self, part: str) -> Array:
        return self.parts[part]

    def get(self, part: str) -> Array | None:
        """None where the module has no such part."""
        return self.parts.get(part)

    @property
    def is_rank_stabilized(self) -> bool:
        """Whether LyCORIS trained it so."""
        return RANK_STABILIZED in self.options

    def scale(self, rank: int) -> float:
        """What a product of that rank is multiplied by."""
        return 1.0 if self.alpha is None else self.alpha / rank


class Algorithm(ABC):
    """`marks` are the parts that only it has, `parts` all that it takes; `name` is what people call it.

    What `multiplies` changes a bias where there is one; what adds to a bias needs it to be there.
    """

    name: ClassVar[str]
    marks: ClassVar[frozenset[str]]
    parts: ClassVar[frozenset[str]]
    multiplies: ClassVar[bool] = False

    @abstractmethod
    def problem(self, shapes: Shapes, options: Options) -> str | None:
        """What is wrong with a module's own tensors, or None."""

    def roles(self, shapes: Shapes, options: Options) -> tuple[Role, ...]:
        """The parameters of its layer that a module changes."""
        return ("weight",)

    @abstractmethod
    def fits(self, shapes: Shapes, role: Role, shape: Shape) -> bool:
        """Whether the module is for a parameter of that shape."""

    @abstractmethod
    def delta(self, numbers: Numbers, role: Role, base: Array) -> Array:
        """What the module adds to its parameter at weight 1, as many numbers as `base` has, which stays as it is."""

    def kind(self, shapes: Shapes) -> str:
        """What people call a module with those tensors."""
        return self.name

    def rank(self, shapes: Shapes) -> int:
        """Of the products that it is made of; 0 where there are none."""
        return 0

    def inputs(self, shapes: Shapes) -> int | None:
        """Of the layer that it is for, where its shapes tell."""
        return None


def missing(shapes: Shapes, *parts: str) -> str | None:
    """The problem that one of the parts is not there, or None."""
    absent = next((part for part in parts if part not in shapes), None)
    return f"its {absent} is missing; is the file complete?" if absent else None


def is_sized(shape: Shape, rows: int, columns: int | None = None) -> bool:
    """Whether a weight has so many outputs, and so many numbers for each."""
    return len(shape) > 1 and shape[0] == rows and (columns is None or math.prod(shape[1:]) == columns)


def squeezed(shape: Shape) -> Shape:
    """A 1x1 convolution is a matrix product: SD 1.x has convolutions where SD 2.x has matrices."""
    return shape[:2] if shape[2:] == (1, 1) else shape


def rows(array: Array) -> Array:
    """A weight as a matrix of its outputs' rows."""
    return array.reshape(len(array), -1)
