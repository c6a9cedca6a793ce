"""Runs one engine on one GPU: per shape an execution context with buffers that stay in place, soon a CUDA graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import torch

from triptych.engine.kept import Kept
from triptych.engine.memory import run_whole
from triptych.engine.port import Array
from triptych.engine.recent import Recent
from triptych.engine.tensorrt.api import tensorrt, trt_logger
from triptych.engine.tensorrt.complaints import forget_errors, shortage
from triptych.engine.tensorrt.network.profiles import Dims, Profile, choose_profile, most_batch, parts, sizes_of
from triptych.engine.tensorrt.run.padding import pad
from triptych.engine.tensorrt.run.shape import CAPTURE_AFTER_RUNS, Shape
from triptych.errors import FailedPreconditionError, ResourceExhaustedError

_SHAPES_KEPT = 16
_TIMED_RUNS = 10


class Session:
    """A deserialized engine and its execution contexts; all work is on `stream`, and done when `run` returns."""

    def __init__(
        self,
        plan: Any,
        dims: Mapping[str, Dims],
        profiles: Sequence[Profile],
        device: torch.device,
        padded: Mapping[int, int] | None = None,
    ) -> None:
        """`padded` says of batches at the first profile's best size what they are run as."""
        self.device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._dims, self._profiles, self._padded = dims, profiles, padded or {}
        forget_errors()
        with torch.cuda.device(device):
            self._runtime = tensorrt().Runtime(trt_logger())
            self.engine = self._runtime.deserialize_cuda_engine(plan)
        if self.engine is None:
            if told := shortage():
                raise ResourceExhaustedError(f"the GPU's memory is too small for the engine: {told}")
            raise FailedPreconditionError("TensorRT cannot load the engine from the cache; delete its folder")
        # Activations of all shapes, for no two of them run at once.
        self._memory = self._no_memory()
        self._shapes: Recent[tuple[object, ...], Shape] = Recent(_SHAPES_KEPT)

    def run(self, inputs: Mapping[str, Kept], *, kept: bool = False) -> dict[str, Kept]:
        """One batch, in parts where no profile takes it whole; InvalidArgumentError for a size not built for.

        What comes out is numpy's, or `kept` as tensors on the GPU, which are taken as inputs too.
        """
        sizes = self.check({name: array.shape for name, array in inputs.items()})
        own_size = all(sizes[name] == r.best for name, r in self._profiles[0].ranges.items() if name != "batch")
        outputs = []
        for part in parts(sizes["batch"], most_batch(self._profiles, sizes)):
            batch = part.stop - part.start
            run_as = self._padded.get(batch, batch) if own_size else batch
            index = choose_profile(self._profiles, {**sizes, "batch": run_as})
            taken = pad({name: array[part] for name, array in inputs.items()}, run_as)
            output = self._run_part(index, taken, kept=kept)
            outputs.append({name: tensor[:batch] for name, tensor in output.items()})
        whole = {name: torch.cat([output[name] for output in outputs]) for name in outputs[0]}
        return whole if kept else {name: tensor.numpy() for name, tensor in whole.items()}

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
        """The size of each free dimension; InvalidArgumentError where no profile holds them."""
        sizes = sizes_of(self._dims, shapes)
        most_batch(self._profiles, sizes)
        return sizes

    def run_with(self, inputs: Mapping[str, Array], profile: int) -> dict[str, Array]:
        """One batch in the profile that is named; ResourceExhaustedError where the GPU has no memory for it."""

        def whole(inputs: Mapping[str, Array]) -> dict[str, Array]:
            return {name: tensor.numpy() for name, tensor in self._run_part(profile, inputs).items()}

        return run_whole(whole, inputs, self.release)

    @property
    def activation_bytes(self) -> int:
        """What is held of the GPU beside the weights, for the shapes that ran so far."""
        return self._memory.numel()

    def release(self) -> None:
        """Gives back what is held for the next run of a shape; the weights stay."""
        self._shapes.clear()
        self._memory = self._no_memory()
        torch.cuda.empty_cache()

    def forget_graphs(self) -> None:
        """Drops captured CUDA graphs, as after a refit: contexts are documented to stay valid then, graphs are not."""
        for shape in self._shapes.values():
            shape.forget_graph()

    def step_seconds(self, inputs: Mapping[str, Array]) -> float:
        """The median time of a run, copies to and from the GPU included."""
        seconds = []
        for _ in range(CAPTURE_AFTER_RUNS + 1 + _TIMED_RUNS):
            start = perf_counter()
            self.run(inputs)
            seconds.append(perf_counter() - start)
        return median(seconds[-_TIMED_RUNS:])

    def _no_memory(self) -> torch.Tensor:
        return torch.empty(0, dtype=torch.uint8, device=self.device)

    def _run_part(self, index: int, inputs: Mapping[str, Kept], *, kept: bool = False) -> dict[str, torch.Tensor]:
        key = (index, *(inputs[name].shape for name in self._dims))
        self.stream.wait_stream(torch.cuda.current_stream(self.device))  # where tensors among the inputs are made
        with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
            return self._shapes.get(key, lambda: self._new_shape(index, inputs)).run(inputs, kept=kept)

    def _new_shape(self, index: int, inputs: Mapping[str, Kept]) -> Shape:
        shape = Shape(self.engine, self.stream, self.device, index, inputs)
        if shape.memory_bytes > self._memory.numel():
            self._memory = torch.empty(shape.memory_bytes, dtype=torch.uint8, device=self.device)
            for other in self._shapes.values():
                other.use(self._memory)
        shape.use(self._memory)
        return shape
