"""Runs the exporter within bounds: seconds, memory, and the life of the process that asked for it.

TRIPTYCH_EXPORT_SECONDS (1500) and TRIPTYCH_EXPORT_BYTES (24 GiB, or three quarters of the machine's memory where that
is less) are the operator's. The UNet of Stable Diffusion 1.x takes a minute or two, that of SDXL five; each 1 GB.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO, TypeAlias

from triptych.checkpoint import Architecture, Component
from triptych.checkpoint.safetensors import TensorInfo
from triptych.contract.carried import carried
from triptych.errors import ResourceExhaustedError, TriptychError, invalid

logger = logging.getLogger("triptych.engine")

_LOOK_INTERVAL_S = 0.1
_Process: TypeAlias = "subprocess.Popen[bytes]"


# What exports an architecture, where it is not the exporter that all others have.
_PROGRAMS = {"IPAdapterImageEncoder": "triptych.engine.image_encoder"}


def program_for(class_name: str) -> str:
    """The module to run."""
    return _PROGRAMS.get(class_name, "triptych.engine.exporter")


def run_exporter(python: str, class_name: str, arguments: list[str]) -> None:
    """Returns once it has ended well; every other end of it is a TriptychError."""
    command = [python, "-m", program_for(class_name), *arguments, "--parent", str(os.getpid())]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=complaints, env=environment)
        try:
            _watch(process, class_name)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            raise _failure(class_name, process.returncode, complaints)


def _watch(process: _Process, class_name: str) -> None:
    """Until it has ended; ResourceExhaustedError as soon as it exceeds a bound."""
    most_s, most_bytes = bound("TRIPTYCH_EXPORT_SECONDS", 1500), bound("TRIPTYCH_EXPORT_BYTES", _default_bytes())
    until_s = time.monotonic() + most_s
    while process.poll() is None:
        if time.monotonic() > until_s:
            raise _beyond(class_name, f"took longer than {most_s} s", "TRIPTYCH_EXPORT_SECONDS")
        if _resident_bytes(process.pid) > most_bytes:
            raise _beyond(class_name, f"took more than {most_bytes / 1e9:.1f} GB of memory", "TRIPTYCH_EXPORT_BYTES")
        time.sleep(_LOOK_INTERVAL_S)


def bound(name: str, default: int) -> int:
    """A whole number from the environment."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise invalid(name, f"{text!r} is not a whole number of at least 1")
    return int(text)


def describe_weights(component: Component) -> str:
    """What the exporter checks before it begins, as JSON: where the tensors are, their types and shapes."""
    tensors = {name: [str(info.path), info.dtype, info.shape] for name, info in component.weights.items()}
    return json.dumps({"place": str(component.place), "tensors": tensors})


def described_component(architecture: Architecture, text: str) -> Component:
    """The inverse of `describe_weights`, with nothing but that to know."""
    described = json.loads(text)
    weights = {
        name: TensorInfo(Path(path), dtype, tuple(shape), 0, 0)
        for name, (path, dtype, shape) in described["tensors"].items()
    }
    return Component(Path(described["place"]), architecture, {}, weights)


def _failure(class_name: str, code: int, complaints: BinaryIO) -> TriptychError:
    complaints.seek(0)
    text = complaints.read().decode(errors="replace").strip()
    logger.error("export failed", extra={"model_class": class_name, "exit_code": code, "stderr": text[-10_000:]})
    last = text.rpartition("\n")[2]
    reason = last[-500:] or f"its process ended with {code}"
    return carried(last) or TriptychError(f"exporting {class_name} failed: {reason}")


def _beyond(class_name: str, problem: str, variable: str) -> ResourceExhaustedError:
    return ResourceExhaustedError(
        f"exporting {class_name} {problem} and was ended; {variable} of the stage, or of `triptych build`, allows more"
    )


def _default_bytes() -> int:
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(24 * 1024**3, machine_bytes * 3 // 4)


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):  # it has just ended
        return 0
