"""A gateway of a test's own, which may be killed and started again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx

from triptych.embedded.ports import free_ports


class OwnGateway:
    """Before the session's orchestrator."""

    def __init__(self, orchestrator: str, state_dir: Path, *options: str) -> None:
        (port,) = free_ports("127.0.0.1", 1)
        self.url = f"http://127.0.0.1:{port}"
        self._command = [
            *(sys.executable, "-m", "triptych_gateway", "--orchestrator", orchestrator),
            *("--port", str(port), "--state-dir", str(state_dir), *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{self.url}/health", trust_env=False).raise_for_status()
                return
            except httpx.HTTPError:
                assert self._process.poll() is None and time.monotonic() < give_up
                time.sleep(0.1)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
