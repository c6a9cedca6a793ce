"""What is there: GPUs, driver, and the packages that Triptych's engines and the other sides need."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from triptych._version import __version__
from triptych.embedded.processes.triton import find_triton
from triptych.errors import FailedPreconditionError
from triptych.gpu_check.clone import commit, find_clone
from triptych.gpu_check.nvml import Driver, Gpu
from triptych.measuring.machine import installed, processor

_FACTS_S = 120.0


@dataclass(frozen=True)
class Machine:
    """Versions are "" where something is missing, and `*_problem` says why it cannot be used."""

    devices: Sequence[str]
    gpus: str
    driver: str
    processor: str
    torch: str
    cuda: str
    torch_problem: str
    tensorrt: str
    tensorrt_problem: str
    triton_problem: str
    onnxruntime: str
    diffusers: str
    triptych: str

    def described(self) -> dict[str, Any]:
        """For the page; rows of runs in which all of this is equal can be compared."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def find_machine(devices: Sequence[str], driver: Driver | None) -> Machine:
    """All that is there; `devices` empty: the GPUs that both driver and torch see."""
    facts = _facts()
    gpus = driver.gpus() if driver else []
    found = [f"cuda:{index}" for index in range(min(len(gpus), facts.pop("torch_gpus")))]
    clone = find_clone()
    return Machine(
        devices=tuple(devices or found),
        gpus=_named(gpus),
        driver=driver.version if driver else "",
        processor=processor(),
        triton_problem=_triton_problem(),
        onnxruntime=installed("onnxruntime"),
        diffusers=installed("diffusers"),
        triptych=" ".join(filter(None, (__version__, commit(clone) if clone else ""))),
        **facts,
    )


def _facts() -> dict[str, Any]:
    command = [sys.executable, "-m", "triptych.measuring.facts"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FACTS_S, check=False)
    if done.returncode != 0:
        raise FailedPreconditionError(f"cannot tell which packages are there: {done.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _named(gpus: Sequence[Gpu]) -> str:
    counted = {gpu: gpus.count(gpu) for gpu in gpus}
    return ", ".join(f"{n} x {gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB" for gpu, n in counted.items())


def _triton_problem() -> str:
    try:
        find_triton()
    except FailedPreconditionError as error:
        return error.message
    return ""


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
