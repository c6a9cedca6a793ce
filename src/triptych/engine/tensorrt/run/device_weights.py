"""Weights that wait in the engine's types for the next time that a LoRA set is put in or taken out.

On the GPU as many as fit a limit, beyond that in pinned memory of this machine, from where they cross the bus at its
full speed; what fits neither is made again from the arrays that sets are kept as.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]
# A parameter, and the number of its array; 0 for the checkpoint's own.
_Key = tuple[str, int]


class _Place:
    """Tensors up to a limit; the least recently used make room."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._tensors: OrderedDict[_Key, torch.Tensor] = OrderedDict()
        self.size_bytes = 0

    def __contains__(self, key: _Key) -> bool:
        return key in self._tensors

    def put(self, key: _Key, tensor: torch.Tensor) -> list[tuple[_Key, torch.Tensor]]:
        """Returns what has to go for it, which may be itself."""
        self._tensors[key] = tensor
        self.size_bytes += tensor.nbytes
        gone = []
        while self.size_bytes > self._capacity_bytes:
            oldest = next(iter(self._tensors))
            gone.append((oldest, self._tensors[oldest]))
            self.take(oldest)
        return gone

    def take(self, key: _Key) -> torch.Tensor | None:
        """Removes it, if it is there."""
        tensor = self._tensors.pop(key, None)
        if tensor is not None:
            self.size_bytes -= tensor.nbytes
        return tensor

    def could_hold(self, tensor: torch.Tensor) -> bool:
        return tensor.nbytes <= self._capacity_bytes


class DeviceWeights:
    """By parameter and array; the least recently used leave the GPU first, and with its array a weight goes."""

    def __init__(
        self, device: torch.device, capacity_bytes: int | None = None, pinned_capacity_bytes: int | None = None
    ) -> None:
        """Limits that are not given are the operator's."""
        capacity_bytes = most_device_bytes() if capacity_bytes is None else capacity_bytes
        pinned_capacity_bytes = most_pinned_bytes() if pinned_capacity_bytes is None else pinned_capacity_bytes
        self._device = device
        self._on_device, self._pinned = _Place(capacity_bytes), _Place(pinned_capacity_bytes)
        # An array may end in any thread, and within this one's own work: then its weight is dropped there.
        self._lock = threading.RLock()
        self._watched: set[_Key] = set()  # whose arrays' ends are told here

    @property
    def size_bytes(self) -> int:
        """Held of the GPU's memory."""
        return self._on_device.size_bytes

    @property
    def pinned_bytes(self) -> int:
        """Held of this machine's memory, where it cannot be swapped out."""
        return self._pinned.size_bytes

    def merged(self, name: str, array: Array, dtype: torch.dtype) -> torch.Tensor:
        """A LoRA set's value, which is not written to while anybody has it."""
        key = (name, id(array))
        with self._lock:
            if key not in self._watched:
                self._watched.add(key)
                # While the array lives nothing else has its number. It may outlive this engine, and must not keep it.
                weakref.finalize(array, _drop, weakref.ref(self), key).atexit = False
        return self._get(key, lambda: array, dtype)

    def base(self, name: str, value: Callable[[], Array], dtype: torch.dtype) -> torch.Tensor:
        """The checkpoint's own value."""
        return self._get((name, 0), value, dtype)

    def _get(self, key: _Key, value: Callable[[], Array], dtype: torch.dtype) -> torch.Tensor:
        with self._lock:
            tensor, pinned = self._on_device.take(key), self._pinned.take(key)
            if tensor is None:
                tensor = brought(value(), self._device, dtype) if pinned is None else sent(pinned, self._device)
            for other, gone in self._on_device.put(key, tensor):
                if self._pinned.could_hold(gone):
                    self._pinned.put(other, pinned if other == key and pinned is not None else _pinned_copy(gone))
        return tensor.to(dtype)

    def drop(self, key: _Key) -> None:
        """Its array is gone."""
        with self._lock:
            self._watched.discard(key)
            self._on_device.take(key)
            self._pinned.take(key)


def _drop(holder: weakref.ref[DeviceWeights], key: _Key) -> None:
    if (weights := holder()) is not None:
        weights.drop(key)


def brought(value: Array, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """The values on the device: rounded here, for half the bytes then cross, and from pinned memory."""
    tensor = torch.tensor(np.asarray(value, np.float32)).to(dtype)  # torch knows no bfloat16 of numpy's
    return sent(tensor.pin_memory() if device.type == "cuda" else tensor, device)


def sent(pinned: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy on the device, made beside what this thread does next."""
    return pinned.to(device, non_blocking=True)


def _pinned_copy(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda).copy_(tensor)


def most_device_bytes() -> int:
    """From TRIPTYCH_LORA_DEVICE_BYTES; by default two sets that touch all attention of an SD 1.5."""
    return int(os.environ.get("TRIPTYCH_LORA_DEVICE_BYTES") or 2 * 1024**3)


def most_pinned_bytes() -> int:
    """From TRIPTYCH_LORA_PINNED_BYTES; by default two more."""
    return int(os.environ.get("TRIPTYCH_LORA_PINNED_BYTES") or 2 * 1024**3)
