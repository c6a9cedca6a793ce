"""Weights that wait on the GPU, in the engine's types, for the next time that a LoRA set is put in or taken out."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]


class DeviceWeights:
    """By parameter and array; the least recently used go beyond `capacity_bytes`, and with its array a weight goes."""

    def __init__(self, device: torch.device, capacity_bytes: int) -> None:
        self._device, self._capacity_bytes = device, capacity_bytes
        self._tensors: OrderedDict[tuple[str, int], torch.Tensor] = OrderedDict()
        self.size_bytes = 0
        # An array may end in any thread, and within this one's own work: then its weight is dropped there.
        self._lock = threading.RLock()

    def merged(self, name: str, array: Floats, dtype: torch.dtype) -> torch.Tensor:
        """A LoRA set's value, which is not written to while anybody has it."""
        key = (name, id(array))
        if key not in self._tensors:  # while the array lives nothing else has its number
            weakref.finalize(array, self._drop, key).atexit = False
        return self._get(key, lambda: array, dtype)

    def base(self, name: str, value: Callable[[], Floats], dtype: torch.dtype) -> torch.Tensor:
        """The checkpoint's own value."""
        return self._get((name, 0), value, dtype)

    def _get(self, key: tuple[str, int], value: Callable[[], Floats], dtype: torch.dtype) -> torch.Tensor:
        with self._lock:
            return self._found(key, value, dtype)

    def _found(self, key: tuple[str, int], value: Callable[[], Floats], dtype: torch.dtype) -> torch.Tensor:
        if key not in self._tensors:
            tensor = brought(value(), self._device, dtype)
            self._tensors[key] = tensor
            self.size_bytes += tensor.nbytes
        self._tensors.move_to_end(key)
        found = self._tensors[key]
        while self.size_bytes > self._capacity_bytes and self._tensors:
            self._drop(next(iter(self._tensors)))
        return found

    def _drop(self, key: tuple[str, int]) -> None:
        with self._lock:
            tensor = self._tensors.pop(key, None)
            if tensor is not None:
                self.size_bytes -= tensor.nbytes


def brought(value: Floats, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """The values on the device: rounded here, for half the bytes then cross, and from pinned memory."""
    tensor = torch.tensor(value).to(dtype)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def device_capacity_bytes() -> int:
    """From TRIPTYCH_LORA_DEVICE_BYTES; by default two sets that touch all attention of an SD 1.5."""
    return int(os.environ.get("TRIPTYCH_LORA_DEVICE_BYTES") or 2 * 1024**3)
