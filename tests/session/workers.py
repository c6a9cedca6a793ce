"""How the workers of `make test` share its files: what needs the session's stack is two lots, each with its own one."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling


class ByStack(LoadFileScheduling):  # type: ignore[misc]
    """Whole files to whoever is free, those with most tests first; parity's count as one, and all others of a stack."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self._root = config.rootpath

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        if not needs_stack(self._root / file):
            return file
        return "parity's stack" if file.startswith("tests/parity/") else "the session's stack"


@functools.cache
def needs_stack(file: Path) -> bool:
    """Whether something in a file asks for the fixture `served`, or `http`, which is the client of its gateway."""
    return re.search(r"\b(served: Served|http: httpx\.Client)\b", file.read_text()) is not None


@functools.cache
def draws_with_torch(file: Path) -> bool:
    """Whether a file asks the session's stack for a checkpoint with that engine, as `sd1-torch`."""
    return needs_stack(file) and re.search(r'"(sd1|sd2|sdxl|refiner)?-torch"', file.read_text()) is not None
