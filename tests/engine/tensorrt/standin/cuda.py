"""Stands in for torch.cuda: one stream, on which all is done at once, and graphs that run again what they captured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from tests.engine.tensorrt.standin.running import IExecutionContext


class Captured:
    """A CUDA graph: what ran while it was captured runs again at every replay."""

    made: ClassVar[list[Captured]] = []

    def __init__(self) -> None:
        self.contexts: list[IExecutionContext] = []
        self.replays = 0
        self.made.append(self)

    def replay(self) -> None:
        self.replays += 1
        for context in self.contexts:
            context._compute()


@contextlib.contextmanager
def _capture(graph: Captured, **_options: Any) -> Iterator[None]:
    IExecutionContext._capturing = graph.contexts
    try:
        yield
    finally:
        IExecutionContext._capturing = None


def patch_torch(patch: pytest.MonkeyPatch) -> None:
    """torch.cuda on a machine without it: one stream, on which all is done at once."""
    stream = SimpleNamespace(cuda_stream=7, synchronize=lambda: None, wait_stream=lambda _other: None)
    patch.setattr(torch.cuda, "Stream", lambda _device: stream)
    patch.setattr(torch.cuda, "current_stream", lambda _device: stream)
    patch.setattr(torch.cuda, "device", lambda _device: contextlib.nullcontext())
    patch.setattr(torch.cuda, "stream", lambda _stream: contextlib.nullcontext())
    patch.setattr(torch.cuda, "CUDAGraph", Captured)
    patch.setattr(torch.cuda, "graph", _capture)
    patch.setattr(Captured, "made", [])
