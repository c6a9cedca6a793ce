"""GPUs as NVIDIA's driver tells them, without CUDA: names, memory, and how much of it is used, by whomever.

The stages of Triptych are processes of their own, so that no process's own count, torch's say, tells of all.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_TEXT_BYTES = 96


class _Memory(ctypes.Structure):
    """nvmlMemory_t, version 1."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


@dataclass(frozen=True)
class Gpu:
    """One of those that this process may use."""

    name: str
    memory_bytes: int


class Driver:
    """The driver's management library, NVML; `visible` as in CUDA_VISIBLE_DEVICES, None where that is not set."""

    def __init__(self, library: Any, visible: str | None) -> None:
        self._library = library
        self._call("nvmlInit_v2")
        self._handles = self._visible(visible)

    @classmethod
    def find(cls) -> Driver | None:
        """None where there is no driver, or no GPU."""
        try:
            driver = cls(ctypes.CDLL(_LIBRARY), os.environ.get("CUDA_VISIBLE_DEVICES"))
        except (OSError, RuntimeError):
            return None
        return driver if driver.gpus() else None

    @property
    def version(self) -> str:
        """The driver's."""
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        self._call("nvmlSystemGetDriverVersion", text, ctypes.c_uint(_TEXT_BYTES))
        return text.value.decode()

    def gpus(self) -> Sequence[Gpu]:
        """In the order of CUDA_VISIBLE_DEVICES, or else of the PCI bus."""
        return [Gpu(self._name(handle), self._memory(handle).total) for handle in self._handles]

    def used_bytes(self) -> int:
        """Of all of them together, whoever uses it."""
        return sum(int(self._memory(handle).used) for handle in self._handles)

    def _visible(self, visible: str | None) -> list[ctypes.c_void_p]:
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        names = map(str, range(count.value)) if visible is None else (name.strip() for name in visible.split(","))
        return [self._handle(name) for name in names if name]

    def _handle(self, name: str) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        if name.isdecimal():
            self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(int(name)), ctypes.byref(handle))
        else:
            self._call("nvmlDeviceGetHandleByUUID", ctypes.c_char_p(name.encode()), ctypes.byref(handle))
        return handle

    def _name(self, handle: ctypes.c_void_p) -> str:
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        self._call("nvmlDeviceGetName", handle, text, ctypes.c_uint(_TEXT_BYTES))
        return text.value.decode()

    def _memory(self, handle: ctypes.c_void_p) -> _Memory:
        memory = _Memory()
        self._call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
        return memory

    def _call(self, function: str, *arguments: Any) -> None:
        code = getattr(self._library, function)(*arguments)
        if code != 0:
            raise RuntimeError(f"{function} failed with {code}")
