"""Ending the export that a model's load waits for, among processes that stand for Triton, its stubs and exporters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from triptych.stage.stopping import stop_exports

# Starts the processes of a tree, says that it is there, and ends with them; without any it waits.
PROCESS = r"""
import json, os, subprocess, sys, time
tree = json.loads(sys.argv[1])
children = [subprocess.Popen([sys.executable, __file__, json.dumps(below), *names]) for names, below in tree]
os.write(1, b"ready\n")
for child in children: child.wait()
if not children: time.sleep(600)
"""
EXPORTER: list[Any] = [["-m", "triptych.engine.exporter"], []]


def stub(model: str, *children: list[Any]) -> list[Any]:
    return [["stub", f"{model}_0_0", "DEFAULT"], list(children)]


Start = Callable[..., int]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Start]:
    """Starts a server with these stubs; its id."""
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    started = []

    def start(*stubs: list[Any]) -> int:
        command = [sys.executable, str(script), json.dumps(stubs)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        assert process.stdout
        for _ in range(1 + sum(1 + len(below) for _, below in stubs)):
            assert process.stdout.readline() == "ready\n"
        return process.pid

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def below(pid: int) -> list[tuple[int, str]]:
    """The living children of a process, and what they were started with."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if arguments := Path(f"/proc/{child}/cmdline").read_text():
            found.append((int(child), arguments))
    return found


def models(pid: int) -> set[str]:
    return {arguments.split("\0")[-3].removesuffix("_0_0") for _, arguments in below(pid)}


def test_only_the_models_own_export_ends(server: Start) -> None:
    pid = server(stub("x.unet", EXPORTER), stub("y.unet", EXPORTER), stub("x.unet2"))
    stop_exports(pid, "x.unet")
    assert models(pid) == {"y.unet", "x.unet2"}
    assert sum(len(below(child)) for child, _ in below(pid)) == 1


def test_nothing_else_is_ended_and_nothing_waited_for_without_end(server: Start) -> None:
    pid = server(stub("x.unet", stub("other")), stub("y.unet"))
    stop_exports(pid, "x.unet", patience_s=0.01)
    stop_exports(pid, "no.such")
    assert models(pid) == {"x.unet", "y.unet"}
    assert sum(len(below(child)) for child, _ in below(pid)) == 1


def test_it_waits_until_a_load_without_an_export_has_ended(server: Start) -> None:
    pid = server(stub("x.unet"))
    stopping = threading.Thread(target=stop_exports, args=(pid, "x.unet", 600))
    stopping.start()
    ((child, _),) = below(pid)
    os.kill(child, signal.SIGTERM)
    stopping.join(60)
    assert not stopping.is_alive()
