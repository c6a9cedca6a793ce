"""Exchanges an engine's weights by name, from the GPU's memory, in the types that the engine holds them in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from triptych.checkpoint import Component
from triptych.engine.port import Weights
from triptych.engine.tensorrt.api import tensorrt, trt_logger
from triptych.engine.tensorrt.run.device_weights import DeviceWeights, brought
from triptych.engine.tensorrt.run.session import Session
from triptych.engine.weights import Maps, float32_weights
from triptych.errors import FailedPreconditionError, TriptychError

# New weights stand beside the engine's own until they are in it; more of them at once would save little.
_GROUP_BYTES = 512 << 20


class WeightsRefitter:
    """Knows which weights are open and what stands in for the checkpoint's own values."""

    def __init__(
        self, session: Session, component: Component, maps: Maps, needed: Sequence[str], waiting: DeviceWeights
    ) -> None:
        """FailedPreconditionError unless the engine lets every needed weight be exchanged.

        `waiting` may be other engines' of the same component too.
        """
        trt = tensorrt()
        self._session, self._component, self._maps = session, component, maps
        self._refitter = trt.Refitter(session.engine, trt_logger())
        self._dtypes = {trt.float32: torch.float32, trt.float16: torch.float16, trt.bfloat16: torch.bfloat16}
        self._open = set(self._refitter.get_all_weights())
        self._replaced: dict[str, npt.NDArray[Any]] = {}
        self._waiting = waiting
        self._once_replaced: set[str] = set()  # whose own values may be wanted back as often as a set comes
        if closed := sorted(set(needed) - self._open):
            raise FailedPreconditionError(
                f"TensorRT keeps {len(closed)} weights closed to refits, such as {closed[:3]}"
            )

    def refit(self, weights: Weights) -> None:
        """Puts all of them into the engine; if that fails halfway, the engine holds a mixture."""
        for name, array in weights.items():
            if array is None:
                self._replaced.pop(name, None)
            else:
                self._replaced[name] = array
                self._once_replaced.add(name)
        with torch.cuda.device(self._session.device), torch.cuda.stream(self._session.stream):
            for group in groups({name: self._component.weights[name].shape for name in weights}):
                self._refit_group(group)
        self._session.forget_graphs()

    def _refit_group(self, names: Sequence[str]) -> None:
        held: dict[str, torch.Tensor] = {}
        try:
            for name in names:
                held[name] = self._hand_over(name)
            # Weights that TensorRT merged with one of these must be given again as well.
            while missing := [name for name in self._refitter.get_missing_weights() if name not in held]:
                held |= {name: self._hand_over(name) for name in missing}
            if not self._refitter.refit_cuda_engine_async(int(self._session.stream.cuda_stream)):
                raise TriptychError("TensorRT refused a refit; its log says why")
            self._session.stream.synchronize()
        finally:
            for name in held:  # or the next refit would read memory that is gone
                self._refitter.unset_named_weights(name)

    def _hand_over(self, name: str) -> torch.Tensor:
        """Gives one weight's present value to the refitter; the tensor must live until the refit is done."""
        prototype = self._refitter.get_weights_prototype(name)
        info = self._component.weights.get(name)
        if info is None:
            raise TriptychError(f"TensorRT wants {name or 'an unnamed weight'} with this refit, which no file holds")
        size = math.prod(info.shape)
        if prototype.size != size or prototype.dtype not in self._dtypes:
            raise TriptychError(f"TensorRT holds {name} as {prototype.size} of {prototype.dtype}, not {size} floats")
        tensor = self._on_device(name, self._dtypes[prototype.dtype])
        trt = tensorrt()
        weights = trt.Weights(prototype.dtype, tensor.data_ptr(), tensor.numel())
        if not self._refitter.set_named_weights(name, weights, trt.TensorLocation.DEVICE):
            raise TriptychError(f"TensorRT refused the weights {name}; its log says why")
        return tensor

    def _on_device(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        if name in self._replaced:
            return self._waiting.merged(name, self._replaced[name], dtype)
        if name in self._once_replaced:
            return self._waiting.base(name, lambda: self._own_value(name), dtype)
        return brought(self._own_value(name), self._session.device, dtype)

    def _own_value(self, name: str) -> npt.NDArray[np.float32]:
        return next(array for _, array in float32_weights(self._component, [name], self._maps))


def groups(shapes: Mapping[str, tuple[int, ...]], most_bytes: int = _GROUP_BYTES) -> Iterator[list[str]]:
    """Cuts names into lists of about that size as float32, each of at least one."""
    group: list[str] = []
    size_bytes = 0
    for name, shape in shapes.items():
        group.append(name)
        size_bytes += 4 * int(np.prod(shape))
        if size_bytes >= most_bytes:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group
