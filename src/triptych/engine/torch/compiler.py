"""Compiles a torch module for one shape after another, in a thread beside the one that runs it.

It takes torch.compile minutes for a UNet, in which steps go on uncompiled, and slower.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

import torch

logger = logging.getLogger("triptych.engine.torch")

Module = Callable[..., tuple[torch.Tensor, ...]]
Inputs = Mapping[str, torch.Tensor]


def keep_compiled_in(cache_dir: Path) -> None:
    """Where kernels outlive a run, for they are the same for all checkpoints of an architecture."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_dir / "inductor"))


class Compiler:
    """`compile` may be called for any number of shapes; one is compiled at a time."""

    def __init__(self, module: Module, device: torch.device) -> None:
        self._device = device
        # Every shape by itself: kernels for any shape are slower, and none of them repeats for long.
        self._compiled: Module = torch.compile(module, dynamic=False, fullgraph=True)
        self._asked: queue.SimpleQueue[tuple[Inputs, Future[Module]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def compile(self, inputs: Inputs) -> Future[Module]:
        """The module, once it has run with inputs of this shape, which are copied; the exception if it cannot."""
        if self._thread is None:  # a daemon, for a process that ends waits for no compiler
            self._thread = threading.Thread(target=self._work, name="torch-compiler", daemon=True)
            self._thread.start()
        future: Future[Module] = Future()
        self._asked.put(({name: tensor.clone() for name, tensor in inputs.items()}, future))
        return future

    def _work(self) -> None:
        while True:
            inputs, future = self._asked.get()
            if future.set_running_or_notify_cancel():
                try:
                    self._run(inputs)
                except Exception as error:  # of any of the compiler's parts
                    future.set_exception(error)
                else:
                    future.set_result(self._compiled)

    @torch.inference_mode()
    def _run(self, inputs: Inputs) -> None:
        began = time.perf_counter()
        if self._device.type == "cuda":
            with torch.cuda.device(self._device), torch.cuda.stream(torch.cuda.Stream(self._device)):  # type: ignore[no-untyped-call]
                self._compiled(**inputs)
            torch.cuda.synchronize(self._device)
        else:
            self._compiled(**inputs)
        logger.info("unet compiled", extra={"seconds": round(time.perf_counter() - began, 1), "shape": _shown(inputs)})


def _shown(inputs: Inputs) -> str:
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in inputs.items())
