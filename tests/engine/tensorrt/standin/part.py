"""What all classes of the stand-in have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class Part:
    """One of the real classes, in so far as tests need it; names that begin with _ are the stand-in's own."""

    _real: ClassVar[Mapping[str, Any]]
    _trt: ClassVar[Any]

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and self._real["properties"].get(name) != "settable":
            raise AttributeError(f"{type(self).__name__} has no {name} that can be set")
        super().__setattr__(name, value)
