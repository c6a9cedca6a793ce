"""Runs one engine on one GPU: per shape an execution context with buffers that stay in place, soon a CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import torch

from triptych.engine.memory import run_whole
from triptych.engine.port import Array
from triptych.engine.tensorrt.api import tensorrt, trt_logger
from triptych.engine.tensorrt.profiles import Dims, Profile, choose_profile, most_batch, parts, sizes_of
from triptych.engine.tensorrt.recent import Recent
from triptych.errors import FailedPreconditionError, TriptychError

# A shape that comes this often is worth a CUDA graph; TensorRT must have run a shape once before it can be captured.
_CAPTURE_AFTER_RUNS = 3
_SHAPES_KEPT = 16
_TIMED_RUNS = 10

logger = logging.getLogger("triptych.engine.tensorrt")


class Session:
    """A deserialized engine and its execution contexts; all work is on `stream`, and done when `run` returns."""

    def __init__(self, plan: Any, dims: Mapping[str, Dims], profiles: Sequence[Profile], device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._dims, self._profiles = dims, profiles
        with torch.cuda.device(device):
            self._runtime = tensorrt().Runtime(trt_logger())
            self.engine = self._runtime.deserialize_cuda_engine(plan)
        if self.engine is None:
            raise FailedPreconditionError("TensorRT cannot load the engine from the cache; delete its folder")
        # Activations of all shapes, for no two of them run at once.
        self._memory = self._no_memory()
        self._shapes: Recent[tuple[object, ...], _Shape] = Recent(_SHAPES_KEPT)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One batch, in parts where no profile takes it whole; InvalidArgumentError for a size not built for."""
        sizes = sizes_of(self._dims, {name: array.shape for name, array in inputs.items()})
        outputs = []
        for part in parts(sizes["batch"], most_batch(self._profiles, sizes)):
            index = choose_profile(self._profiles, {**sizes, "batch": part.stop - part.start})
            outputs.append(self._run_part(index, {name: array[part] for name, array in inputs.items()}))
        return {name: torch.cat([output[name] for output in outputs]).numpy() for name in outputs[0]}

    def run_with(self, inputs: Mapping[str, Array], profile: int) -> dict[str, Array]:
        """One batch in the profile that is named; ResourceExhaustedError where the GPU has no memory for it."""

        def whole(inputs: Mapping[str, Array]) -> dict[str, Array]:
            return {name: tensor.numpy() for name, tensor in self._run_part(profile, inputs).items()}

        return run_whole(whole, inputs, self.release)

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
        for _ in range(_CAPTURE_AFTER_RUNS + 1 + _TIMED_RUNS):
            start = perf_counter()
            self.run(inputs)
            seconds.append(perf_counter() - start)
        return median(seconds[-_TIMED_RUNS:])

    def _no_memory(self) -> torch.Tensor:
        return torch.empty(0, dtype=torch.uint8, device=self.device)

    def _run_part(self, index: int, inputs: Mapping[str, Array]) -> dict[str, torch.Tensor]:
        key = (index, *(inputs[name].shape for name in self._dims))
        with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
            return self._shapes.get(key, lambda: self._new_shape(index, inputs)).run(inputs)

    def _new_shape(self, index: int, inputs: Mapping[str, Array]) -> _Shape:
        shape = _Shape(self, index, inputs)
        if shape.memory_bytes > self._memory.numel():
            self._memory = torch.empty(shape.memory_bytes, dtype=torch.uint8, device=self.device)
            for other in self._shapes.values():
                other.use(self._memory)
        shape.use(self._memory)
        return shape


class _Shape:
    """One execution context at one shape.

    It has a context to itself because changing the context that a CUDA graph was captured from would break the graph.
    """

    def __init__(self, session: Session, index: int, inputs: Mapping[str, Array]) -> None:
        trt = tensorrt()
        self._stream = session.stream
        engine = session.engine
        self._context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if self._context is None or not self._context.set_optimization_profile_async(index, self._handle):
            raise TriptychError("TensorRT could not make an execution context; its log says why")
        self._stream.synchronize()
        self._expect(self._context.active_optimization_profile == index, f"the profile {index}")
        dtypes = {trt.float32: torch.float32, trt.int64: torch.int64}
        self._inputs = {
            name: torch.empty(array.shape, dtype=dtypes[engine.get_tensor_dtype(name)], device=session.device)
            for name, array in inputs.items()
        }
        self._sent = {name: _pinned_like(tensor) for name, tensor in self._inputs.items()}
        for name, tensor in self._inputs.items():
            self._expect(self._context.set_input_shape(name, tuple(tensor.shape)), name)
        if unknown := self._context.infer_shapes():
            raise TriptychError(f"TensorRT does not know the shapes of {unknown}")
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        self._outputs = {
            name: torch.empty(tuple(self._context.get_tensor_shape(name)), device=session.device)
            for name in names
            if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT
        }
        self._received = {name: _pinned_like(tensor) for name, tensor in self._outputs.items()}
        for name, tensor in (self._inputs | self._outputs).items():
            self._expect(self._context.set_tensor_address(name, tensor.data_ptr()), name)
        self.memory_bytes = int(self._context.update_device_memory_size_for_shapes())
        self._expect(self.memory_bytes > 0, "to say what memory a shape needs")  # its sign for an error
        self.graph: torch.cuda.CUDAGraph | None = None
        self._runs_to_capture = _CAPTURE_AFTER_RUNS

    @property
    def _handle(self) -> int:
        return int(self._stream.cuda_stream)

    def use(self, memory: torch.Tensor) -> None:
        """Puts activations into that memory."""
        # Not `set_device_memory`, which takes the size too: it was seen to end the process (NVIDIA/TensorRT#4302).
        self._context.device_memory = memory.data_ptr()
        self._memory = memory
        self.forget_graph()

    def forget_graph(self) -> None:
        """Captures another one after a plain run: weights may change again before a capture has paid."""
        self.graph = None
        if self._runs_to_capture == 0:
            self._runs_to_capture = 1

    def run(self, inputs: Mapping[str, Array]) -> dict[str, torch.Tensor]:
        """Runs on the current stream, which is the session's, and waits; the outputs lie on the CPU."""
        for name, array in inputs.items():
            self._sent[name].copy_(torch.tensor(array))
            self._inputs[name].copy_(self._sent[name], non_blocking=True)
        if self.graph is None and self._runs_to_capture == 0:
            self._capture()
        if self.graph is not None:
            self.graph.replay()
        else:
            self._runs_to_capture -= 1
            self._expect(self._context.execute_async_v3(self._handle), "a run")
        for name, tensor in self._outputs.items():
            self._received[name].copy_(tensor, non_blocking=True)
        self._stream.synchronize()
        return {name: tensor.clone() for name, tensor in self._received.items()}

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._expect(self._context.execute_async_v3(self._handle), "a capture")
        except (RuntimeError, TriptychError):
            logger.warning("no CUDA graph can be captured of this engine; it runs without", exc_info=True)
            self._runs_to_capture = -1  # never zero again
            return
        self.graph = graph

    @staticmethod
    def _expect(accepted: bool, what: str) -> None:
        if not accepted:
            raise TriptychError(f"TensorRT refused {what}; its log says why")


def _pinned_like(tensor: torch.Tensor) -> torch.Tensor:
    """Memory of this machine that a GPU copies from and to without a detour."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
