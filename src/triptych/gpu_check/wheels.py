"""Installs what is missing from a folder of wheels, for a machine without a way to a package index."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from triptych.gpu_check.machine import Machine

_INSTALL_S = 600.0


def missing_extras(machine: Machine) -> list[str]:
    """Triptych's extras that would bring what the check lacks; TensorRT for the CUDA that torch has, if it has one."""
    extras = []
    if machine.triton_problem or not machine.onnxruntime:
        extras.append("server")
    if not (machine.torch and machine.diffusers):
        extras.append("torch")
    if not machine.tensorrt:
        extras.append("tensorrt-cu12" if machine.cuda.startswith("12.") else "tensorrt")
    return extras


def install(extra: str, wheels: Path, limit_s: float, python: Sequence[str] = (sys.executable,)) -> str:
    """Why it failed, or nothing; the rows that need it say what is missing all the same."""
    command = [*python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--find-links", str(wheels), f"triptych[{extra}]"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=max(1.0, min(limit_s, _INSTALL_S)), check=False
        )
    except subprocess.TimeoutExpired:
        return f"triptych[{extra}] was not installed in time"
    if done.returncode == 0:
        return ""
    return f"triptych[{extra}] cannot be installed from {wheels}: {' '.join(done.stderr.split())[-500:]}"
