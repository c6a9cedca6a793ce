"""Compiling beside the runs: what comes back runs, and what cannot be compiled says why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import torch

from triptych.engine.torch.compiler import Compiler

CPU = torch.device("cpu")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """How torch.compile was asked; it is traced here and no more, for a machine of tests may have no compiler."""
    asked: list[dict[str, Any]] = []
    compile_ = torch.compile

    def traced(module: Callable[..., Any], **options: Any) -> Any:
        asked.append(options)
        return compile_(module, **options, backend="eager")

    monkeypatch.setattr(torch, "compile", traced)
    return asked


def test_each_shape_comes_back_ready(compiled: list[dict[str, Any]]) -> None:
    compiler = Compiler(lambda latents: (2 * latents,), CPU)
    futures = [compiler.compile({"latents": torch.ones(rows, 3)}) for rows in (1, 2, 5)]
    for rows, future in zip((1, 2, 5), futures, strict=True):
        with torch.inference_mode():
            assert torch.equal(future.result(60)(latents=torch.ones(rows, 3))[0], torch.full((rows, 3), 2.0))
    assert compiled == [{"dynamic": False, "fullgraph": True}]


def test_inputs_may_be_overwritten_meanwhile(compiled: list[dict[str, Any]]) -> None:
    compiler, seen = Compiler(torch.nn.Identity(), CPU), []
    compiler._compiled = lambda latents: seen.append(latents.sum().item()) or (latents,)
    go_on = threading.Event()
    compiler._asked.put(({}, _Waiting(go_on)))
    latents = torch.ones(2, 3)
    future = compiler.compile({"latents": latents})
    latents.zero_()
    go_on.set()
    future.result(60)
    assert seen == [6.0]


class _Waiting(Future[Any]):
    """Given up once the event comes, and until then in everybody's way."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self._event = event

    def set_running_or_notify_cancel(self) -> bool:
        self._event.wait()
        return False


def test_one_that_fails_says_why_and_the_next_is_compiled(compiled: list[dict[str, Any]]) -> None:
    def module(latents: torch.Tensor) -> tuple[torch.Tensor]:
        return (latents @ torch.ones(3, 1),)

    compiler = Compiler(module, CPU)
    bad, good = compiler.compile({"latents": torch.ones(2, 4)}), compiler.compile({"latents": torch.ones(2, 3)})
    with pytest.raises(Exception, match=r"shape|size"):
        bad.result(60)
    assert good.result(60) is compiler._compiled
