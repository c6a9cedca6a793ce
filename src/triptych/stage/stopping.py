"""Ends the export that a model's load waits for: Triton itself cannot take back a load that has begun.

The orchestrator has this loaded as `<model>~stop` in the same server, beside that load. It never ends up loaded.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_EXPORTER = b"triptych.engine.exporter"
_LOOK_INTERVAL_S = 0.1
# A stub that has no export by then, and is not gone, waits for something else.
_PATIENCE_S = 30.0


class StopExport:
    """For Triton a model; `parameters` of its configuration name the one whose load is not wanted any more."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Returns by an exception, always: this is no model that could serve."""
        import triton_python_backend_utils as triton

        model = json.loads(args["model_config"])["parameters"]["model"]["string_value"]
        stop_exports(os.getppid(), model)
        raise triton.TritonModelException(f"no load of {model} waits for an export any more")


def stop_exports(server_pid: int, model: str, patience_s: float = _PATIENCE_S) -> None:
    """Ends each export of those of the server's processes that stand for the model, until they have ended too."""
    # Whoever loads the model anew has another process.
    stubs = {pid for pid in _children(server_pid) if f"{model}_0_0".encode() in _arguments(pid)}
    until_s = time.monotonic() + patience_s
    while stubs & set(_children(server_pid)) and time.monotonic() < until_s:
        for exporter in (pid for stub in stubs for pid in _children(stub) if _EXPORTER in _arguments(pid)):
            with suppress(ProcessLookupError):
                os.kill(exporter, signal.SIGTERM)
        time.sleep(_LOOK_INTERVAL_S)


def _children(parent_pid: int) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                # The name of the program, in brackets, may have anything in it.
                state_and_parent = (folder / "stat").read_text(errors="replace").rpartition(") ")[2].split()
                if state_and_parent[0] != "Z" and int(state_and_parent[1]) == parent_pid:
                    yield int(folder.name)


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
