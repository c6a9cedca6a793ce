"""CUDA graphs of a torch module: a shape that comes again is recorded once and then replayed.

A UNet launches a thousand kernels a step, and a fast GPU waits for the Python between them. What is replayed reads the
parameters where they lie, so that a refit, which copies into them, is seen. With a compiler a recorded shape is
recorded once more, when it is compiled.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Any

import torch

from triptych.engine.recent import Recent
from triptych.engine.torch.compiler import Compiler, Inputs, Module

# A shape that comes this often is recorded: by then it is likely to come often enough to pay for that.
CAPTURE_AFTER_RUNS = 3
# Their activations share one memory: only one of them runs at a time, and its outputs are copied before the next.
MOST_SHAPES = 8

logger = logging.getLogger("triptych.engine.torch")

_Key = tuple[tuple[str, torch.Size, torch.dtype], ...]


class GraphedModule:
    """Called like the module, and for one batch at a time; outputs are overwritten by the next call."""

    def __init__(self, module: Module, device: torch.device, compiler: Compiler | None = None) -> None:
        self._module, self._device, self._compiler = module, device, compiler
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._shapes: Recent[_Key, _Shape] = Recent(MOST_SHAPES)

    def __call__(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The module's outputs; whatever shape is new is run as it is at first."""
        key = tuple((name, tensor.shape, tensor.dtype) for name, tensor in inputs.items())
        shape = self._shapes.get(key, lambda: _Shape(self._module, self._stream, self._pool, self._compiler))
        with torch.cuda.device(self._device):
            return shape.run(inputs)

    def forget(self) -> None:
        """Gives back the memory of all that was recorded."""
        self._shapes.clear()
        self._pool = torch.cuda.graph_pool_handle()


class _Shape:
    """One shape's runs."""

    def __init__(self, module: Module, stream: torch.cuda.Stream, pool: Any, compiler: Compiler | None) -> None:
        self._module, self._stream, self._pool, self._compiler = module, stream, pool, compiler
        self._runs_to_capture = CAPTURE_AFTER_RUNS
        self._compiling: Future[Module] | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: Inputs = {}
        self._outputs: tuple[torch.Tensor, ...] = ()

    def run(self, inputs: Inputs) -> tuple[torch.Tensor, ...]:
        if self._graph is None and self._runs_to_capture == 0:
            self._capture(inputs)
            self._compiling = self._compiler.compile(inputs) if self._compiler else None
        elif self._compiling is not None and self._compiling.done():
            self._take(self._compiling, inputs)
            self._compiling = None
        if self._graph is None:
            self._runs_to_capture -= 1
            return self._module(**inputs)
        for name, tensor in inputs.items():
            self._inputs[name].copy_(tensor)
        self._graph.replay()
        return self._outputs

    def _take(self, compiled: Future[Module], inputs: Inputs) -> None:
        """The compiled module from now on, or the plain one where it cannot be compiled."""
        if error := compiled.exception():
            logger.warning("this shape runs uncompiled: torch.compile failed", exc_info=error)
            return
        self._module = compiled.result()
        self._capture(inputs)

    def _capture(self, inputs: Inputs) -> None:
        """What libraries keep for a stream they get in a run before, for a graph must not own it."""
        graph = torch.cuda.CUDAGraph()
        held = {name: tensor.clone() for name, tensor in inputs.items()}
        try:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                self._module(**held)
            torch.cuda.current_stream().wait_stream(self._stream)
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                outputs = self._module(**held)
        except RuntimeError:  # too little memory among it
            logger.warning("no CUDA graph could be captured of this shape; it runs without", exc_info=True)
            self._graph, self._runs_to_capture = None, -1  # never zero again
            return
        self._graph, self._inputs, self._outputs = graph, held, outputs
