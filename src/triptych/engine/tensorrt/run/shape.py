"""One execution context at one shape, with buffers that stay in place, soon a CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch

from triptych.engine.kept import Kept
from triptych.engine.tensorrt.api import tensorrt
from triptych.engine.tensorrt.complaints import forget_errors, shortage
from triptych.errors import TriptychError

# A shape that comes this often is worth a CUDA graph; TensorRT must have run a shape once before it can be captured.
CAPTURE_AFTER_RUNS = 3
# What another thread does on the GPU, a build say, can break a capture off; it is tried once more, a picture later.
RETRY_AFTER_RUNS = 50

logger = logging.getLogger("triptych.engine.tensorrt")


class Shape:
    """All work is on the session's stream.

    It has a context to itself because changing the context that a CUDA graph was captured from would break the graph.
    """

    def __init__(self, engine: Any, stream: Any, device: torch.device, index: int, inputs: Mapping[str, Kept]) -> None:
        trt = tensorrt()
        self._stream = stream
        forget_errors()
        self._context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        # Beside the activations, whose memory is ours, a context takes some of its own.
        self._expect(self._context is not None, "to make an execution context")
        self._expect(self._context.set_optimization_profile_async(index, self._handle), f"to set the profile {index}")
        self._stream.synchronize()
        self._expect(self._context.active_optimization_profile == index, f"the profile {index}")
        dtypes = {trt.float32: torch.float32, trt.int64: torch.int64, trt.bool: torch.bool}
        self._inputs = {
            name: torch.empty(array.shape, dtype=dtypes[engine.get_tensor_dtype(name)], device=device)
            for name, array in inputs.items()
        }
        self._sent: dict[str, torch.Tensor] = {}
        for name, tensor in self._inputs.items():
            self._expect(self._context.set_input_shape(name, tuple(tensor.shape)), name)
        if unknown := self._context.infer_shapes():
            raise TriptychError(f"TensorRT does not know the shapes of {unknown}")
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        self._outputs = {
            name: torch.empty(tuple(self._context.get_tensor_shape(name)), device=device)
            for name in names
            if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT
        }
        self._received: dict[str, torch.Tensor] = {}
        for name, tensor in (self._inputs | self._outputs).items():
            self._expect(self._context.set_tensor_address(name, tensor.data_ptr()), name)
        self.memory_bytes = int(self._context.update_device_memory_size_for_shapes())
        self._expect(self.memory_bytes > 0, "to say what memory a shape needs")  # its sign for an error
        self.graph: torch.cuda.CUDAGraph | None = None
        self._runs_to_capture = CAPTURE_AFTER_RUNS
        self._may_retry = True

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

    def run(self, inputs: Mapping[str, Kept], *, kept: bool = False) -> dict[str, torch.Tensor]:
        """Runs on the current stream, which is the session's, and waits; the outputs lie on the CPU, unless `kept`."""
        for name, array in inputs.items():
            self._put(name, array)
        forget_errors()
        if self.graph is None and self._runs_to_capture == 0:
            self._capture()
        if self.graph is not None:
            self.graph.replay()
        else:
            self._runs_to_capture -= 1
            self._expect(self._context.execute_async_v3(self._handle), "a run")
        taken = {name: tensor.clone() if kept else self._fetched(name) for name, tensor in self._outputs.items()}
        self._stream.synchronize()
        return taken if kept else {name: tensor.clone() for name, tensor in taken.items()}

    def _put(self, name: str, array: Kept) -> None:
        """Begins to bring an input to where it is read."""
        place = self._inputs[name]
        if isinstance(array, torch.Tensor):
            place.copy_(array, non_blocking=True)
        elif not any(array.strides):  # one number, however large it is seen
            place.fill_(array.item(0))
        else:
            if name not in self._sent:
                self._sent[name] = _pinned_like(place)
            self._sent[name].copy_(torch.tensor(array))
            place.copy_(self._sent[name], non_blocking=True)

    def _fetched(self, name: str) -> torch.Tensor:
        """Begins to bring an output to where the next one of this name will lie too."""
        if name not in self._received:
            self._received[name] = _pinned_like(self._outputs[name])
        return self._received[name].copy_(self._outputs[name], non_blocking=True)

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._expect(self._context.execute_async_v3(self._handle), "a capture")
        except (RuntimeError, TriptychError):  # too little memory for a graph among it
            logger.warning("no CUDA graph could be captured of this engine; it runs without", exc_info=True)
            self._runs_to_capture = RETRY_AFTER_RUNS if self._may_retry else -1  # never zero again
            self._may_retry = False
            return
        self.graph, self._may_retry = graph, True

    @staticmethod
    def _expect(accepted: bool, what: str) -> None:
        """TriptychError otherwise, or OutOfMemoryError where TensorRT's log says that memory was too small."""
        if not accepted:
            if told := shortage():
                raise torch.OutOfMemoryError(told)
            raise TriptychError(f"TensorRT refused {what}; its log says why")


def _pinned_like(tensor: torch.Tensor) -> torch.Tensor:
    """Memory of this machine that a GPU copies from and to without a detour."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
