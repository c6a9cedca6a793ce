"""The tensors of one model in the original's layout, and the error where one that gives a size is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from triptych.checkpoint.configs import broken
from triptych.checkpoint.safetensors import TensorInfo


@dataclass(frozen=True)
class Tensors:
    """Those of `file` whose names begin with `prefix`, by what follows it."""

    file: Path
    prefix: str
    by_name: Mapping[str, TensorInfo]

    @classmethod
    def below(cls, file: Path, prefix: str, tensors: Mapping[str, TensorInfo]) -> Tensors:
        """Of all the file's."""
        own = {name.removeprefix(prefix): info for name, info in tensors.items() if name.startswith(prefix)}
        return cls(file, prefix, own)

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def shape(self, name: str, dimensions: int = 0) -> tuple[int, ...]:
        """A tensor's shape, which has that many dimensions unless any will do, and none of them empty."""
        info = self.by_name.get(name)
        if info is None:
            raise broken(self.file, f"it lacks {self.prefix}{name}, which tells the model's sizes")
        if not info.shape or 0 in info.shape or len(info.shape) != (dimensions or len(info.shape)):
            raise broken(self.file, f"{self.prefix}{name} has the shape {info.shape}, which no such model has")
        return info.shape

    def counted(self, pattern: str) -> Iterator[int]:
        """0, 1, 2, ... as long as there is a tensor of the name that the pattern makes of it."""
        for number in count():
            if pattern.format(number) not in self.by_name:
                return
            yield number

    def several(self, pattern: str) -> int:
        """How many `counted` finds, which must be one at least."""
        number = sum(1 for _ in self.counted(pattern))
        return number or len(self.shape(pattern.format(0)))
