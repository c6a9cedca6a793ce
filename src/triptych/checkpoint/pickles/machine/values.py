"""What a pickle is read to, besides plain Python values: tensors, and stand-ins for whatever else it speaks of.

Objects compare by identity: to compare or hash what a stranger nested is work without bound.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False, slots=True)
class Named:
    """A class or function that the pickle names: a name and no more, nothing was imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, eq=False, slots=True)
class Inert:
    """In place of an object that cannot be had or that nobody needs; swallows whatever it is given.

    `origin` is what would have made it, `is_tensor` whether torch would have made a tensor of it.
    """

    origin: str
    is_tensor: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """A piece of memory that tensors look at: `size_bytes` from byte `start` of what the file has under `key`."""

    key: str
    dtype: str
    start: int
    size_bytes: int


@dataclass(frozen=True, eq=False, slots=True)
class PickledTensor:
    """A view of a storage; offset and strides in elements, dtype as safetensors calls it."""

    storage: Storage
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
