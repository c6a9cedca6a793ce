"""Helpers of the end-to-end tests: pictures side by side, requests at once, orchestrators of their own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import triptych
from tests.conftest import Served
from triptych.sdk.events import Result, Step

SIZE = {"width": 64, "height": 64}


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0, what: str = "") -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"timed out waiting for {what or condition}"
        time.sleep(0.02)
    return value


def difference(ours: Result, theirs: Result) -> int:
    """The largest of any pixel, of 255."""
    pairs = zip(ours.images, theirs.images, strict=True)
    return max(int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max()) for a, b in pairs)


def at_once(client: triptych.Client, requests: Sequence[dict[str, Any]]) -> list[tuple[list[Step], Result]]:
    """Every request in a thread of its own: its steps and its result."""
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(lambda request: steps_and_result(client, request), requests))


def meeting(
    client: triptych.Client, requests: Sequence[dict[str, Any]], samples: int
) -> list[tuple[list[Step], Result]]:
    """All at once, again until a step of one was in a batch of so many samples: threads may start apart."""

    def met() -> list[tuple[list[Step], Result]] | None:
        together = at_once(client, requests)
        return together if any(step.batch_size >= samples for steps, _ in together for step in steps) else None

    ended: list[tuple[list[Step], Result]] = wait_for(met, what=f"a batch of {samples} samples")
    return ended


def steps_and_result(client: triptych.Client, request: dict[str, Any]) -> tuple[list[Step], Result]:
    """All events of one request."""
    events = list(client.stream(**request))
    assert isinstance(events[-1], Result)
    return [event for event in events if isinstance(event, Step)], events[-1]


def value(metrics: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    text = urllib.request.urlopen(f"http://{metrics}/metrics", timeout=10).read().decode()
    lines = [line for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line)]
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if all(f'{label}="{wanted}"' in line for label, wanted in labels.items())
    )


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Orchestrator:
    """A further orchestrator in front of the session's stages, or of `stages` where given."""

    def __init__(self, served: Served, state_dir: Path, *arguments: str, **stages: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.metrics = f"127.0.0.1:{free_port()}"
        self.log_path = state_dir / f"orchestrator-{self.address.rpartition(':')[2]}.log"
        addresses = {replica.stage: replica.address for replica in served.client.server_info().replicas} | stages
        command = [sys.executable, "-m", "triptych_orchestrator", "--listen", self.address, "--metrics", self.metrics]
        command += ["--state-dir", str(state_dir / "state"), *arguments]
        command += [part for stage, address in addresses.items() for part in (f"--{stage}", address)]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def wait_serving(self) -> None:
        wait_for(lambda: '"serving"' in self.log or self.process.poll() is not None, 120, "the orchestrator")
        assert self.process.poll() is None, self.log

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        self.terminate()
        return self.process.wait(60)


@contextmanager
def orchestrator(served: Served, state_dir: Path, *arguments: str, **stages: str) -> Iterator[Orchestrator]:
    """Serving, and stopped at the end."""
    one = Orchestrator(served, state_dir, *arguments, **stages)
    try:
        one.wait_serving()
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
