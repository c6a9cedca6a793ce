"""The driver's library, stood in for by one that fills in what it is given, as the real one does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from triptych.gpu_check import nvml
from triptych.gpu_check.nvml import Driver, Gpu


def library(*gpus: tuple[str, str, int, int]) -> Any:
    """GPUs as (UUID, name, bytes in all, bytes used)."""
    uuids = [gpu[0] for gpu in gpus]

    def count(target: Any) -> int:
        target._obj.value = len(gpus)
        return 0

    def by_index(index: Any, target: Any) -> int:
        target._obj.value = index.value + 1  # a handle is no number, and none of them is null
        return 0 if index.value < len(gpus) else 2

    def by_uuid(uuid: Any, target: Any) -> int:
        found = [number for number, own in enumerate(uuids, 1) if own == uuid.value.decode()]
        target._obj.value = found[0] if found else 0
        return 0 if found else 6

    def name(handle: Any, target: Any, size: Any) -> int:
        target.value = gpus[handle.value - 1][1].encode()
        return 0

    def memory(handle: Any, target: Any) -> int:
        total, used = gpus[handle.value - 1][2:]
        target._obj.total, target._obj.used, target._obj.free = total, used, total - used
        return 0

    def version(target: Any, size: Any) -> int:
        target.value = b"580.159.04"
        return 0

    return SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetCount_v2=count,
        nvmlDeviceGetHandleByIndex_v2=by_index,
        nvmlDeviceGetHandleByUUID=by_uuid,
        nvmlDeviceGetName=name,
        nvmlDeviceGetMemoryInfo=memory,
        nvmlSystemGetDriverVersion=version,
    )


TWO = library(("GPU-a", "NVIDIA L4", 24 << 30, 5 << 20), ("GPU-b", "NVIDIA H100", 80 << 30, 3 << 30))


def test_all_gpus_are_found() -> None:
    driver = Driver(TWO, None)
    assert driver.gpus() == [Gpu("NVIDIA L4", 24 << 30), Gpu("NVIDIA H100", 80 << 30)]
    assert driver.version == "580.159.04" and driver.used_bytes() == (5 << 20) + (3 << 30)


@pytest.mark.parametrize(
    ("visible", "names"),
    [("1", ["NVIDIA H100"]), ("GPU-b,0", ["NVIDIA H100", "NVIDIA L4"]), ("", []), (" 1 ,", ["NVIDIA H100"])],
)
def test_only_those_count_that_this_process_may_use(visible: str, names: list[str]) -> None:
    driver = Driver(TWO, visible)
    assert [gpu.name for gpu in driver.gpus()] == names
    assert driver.used_bytes() == sum({"NVIDIA H100": 3 << 30, "NVIDIA L4": 5 << 20}[name] for name in names)


def test_without_a_driver_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "_LIBRARY", "libno-such-driver.so.1")
    assert Driver.find() is None


def test_a_library_without_a_driver_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml.ctypes, "CDLL", lambda _name: SimpleNamespace(nvmlInit_v2=lambda: 9))
    assert Driver.find() is None
