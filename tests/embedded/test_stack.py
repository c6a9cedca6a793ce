from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from triptych.embedded import Stack, StackConfig
from triptych.embedded.ports import bound_socket, free_ports, obstacle
from triptych.embedded.processes.probe import ORCHESTRATOR_HEALTHY, is_ready
from triptych.embedded.processes.process import group_members
from triptych.embedded.processes.supervisor import StartError
from triptych.errors import CancelledError, DeadlineExceededError, FailedPreconditionError

from .conftest import runs, wait_for
from .standin import StandIns

FORGETFUL = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from standin import StandIns
from triptych.embedded import Stack, StackConfig
stack = Stack(StackConfig({{}}, run_dir=sys.argv[1], cache_dir=sys.argv[1]), StandIns())
stack.start()
print(*(row.pid for row in stack.processes()), flush=True)
"""
KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    return StackConfig({"tiny": tmp_path}, run_dir=tmp_path / "run", cache_dir=tmp_path / "cache")


def metrics_ports() -> int:
    """The first of four free ports in a row."""
    while True:
        first = free_ports("127.0.0.1", 1)[0]
        if not any(obstacle("127.0.0.1", port) for port in range(first, first + 4)):
            return first


def pid_of(stack: Stack, name: str) -> int:
    return next(row.pid or 0 for row in stack.processes() if row.name == name)


def test_a_whole_life(tmp_path: Path) -> None:
    config = StackConfig(
        {"tiny": tmp_path},
        cache_dir=tmp_path / "cache",
        replicas={"unet": 2},
        threads={"unet": 3},
        limits={"max_width": 64},
        safety_checker="checkpoint",
        watermark="ACME",
        drain_timeout_s=2.5,
        loras={"ink (2)": __file__},
    )
    stack = Stack(config, StandIns())
    with stack:
        rows = stack.processes()
        assert [row.name for row in rows] == ["encoder-0", "unet-0", "unet-1", "vae-0", "orchestrator"]
        addresses = [row.address for row in rows] + [row.metrics_address for row in rows]
        assert len(set(addresses)) == 10
        assert all(address.startswith("127.0.0.1:") for address in addresses)
        assert stack.address == rows[-1].address
        assert is_ready(stack.address, ORCHESTRATOR_HEALTHY)
        arguments = Path(rows[-1].log_path).read_text()
        assert f"--unet {rows[1].address} --unet {rows[2].address} --vae {rows[3].address}" in arguments
        assert f"--engine onnxruntime --checkpoint tiny={tmp_path} --lora-dir {stack.run_dir}/state/loras" in arguments
        assert f" --lora ink (2)={__file__} --limit max_width=64 --safety-checker checkpoint" in arguments
        assert "--watermark ACME" in arguments
        assert " --drain-timeout 2.5 " in arguments and " --load-timeout 3600 " in arguments
        environ = Path(f"/proc/{rows[1].pid}/environ").read_text()
        assert "TRIPTYCH_THREADS=3" in environ
        assert f"TRIPTYCH_CACHE_DIR={tmp_path / 'cache'}" in environ
    assert not any(runs(row.pid or 0) for row in rows)
    assert stack.processes() == []
    assert stack.run_dir is not None
    assert not stack.run_dir.exists()
    stack.stop()
    assert stack.wait(0)


def test_whoever_dies_comes_back_on_its_port(config: StackConfig) -> None:
    with Stack(config, StandIns()) as stack:
        before = stack.processes()
        for name in ("unet-0", "orchestrator"):
            os.kill(pid_of(stack, name), signal.SIGKILL)
        wait_for(lambda: [row.restarts for row in stack.processes()] == [0, 1, 0, 1])
        wait_for(lambda: is_ready(stack.address, ORCHESTRATOR_HEALTHY))
        after = stack.processes()
        assert [row.address for row in after] == [row.address for row in before]
        assert pid_of(stack, "encoder-0") == before[0].pid
        # The second pause is twice the first.
        started_s = time.monotonic()
        os.kill(pid_of(stack, "unet-0"), signal.SIGKILL)
        wait_for(lambda: stack.processes()[1].restarts == 2)
        assert time.monotonic() - started_s > 0.9


def test_a_death_at_the_start_is_told_with_the_logs_end(config: StackConfig) -> None:
    stack = Stack(config, StandIns("--die", "checkpoint tiny: unet/config.json is broken"))
    with pytest.raises(StartError, match=r"orchestrator .*exit code 3.*\n.*unet/config.json is broken") as caught:
        stack.start()
    assert caught.value.metadata["process"] == "orchestrator"
    assert stack.processes() == []
    assert (Path(str(config.run_dir)) / "orchestrator.log").exists()


def test_not_ready_in_time(config: StackConfig) -> None:
    slow = StackConfig({}, run_dir=config.run_dir, cache_dir=config.cache_dir, startup_timeout_s=2.0)
    with pytest.raises(DeadlineExceededError, match=r"^not ready in time: .*/orchestrator.log\); --startup-timeout"):
        Stack(slow, StandIns("--mute")).start()


def test_stop_while_it_starts(config: StackConfig) -> None:
    stack = Stack(config, StandIns("--mute"))
    timer = threading.Timer(1.0, stack.request_stop)
    timer.start()
    with pytest.raises(CancelledError):
        stack.start()
    timer.join()
    assert stack.processes() == []


def test_a_port_taken_meanwhile_is_replaced(config: StackConfig) -> None:
    thieves: list[socket.socket] = []

    class Robbed(StandIns):
        def stage(
            self, folder: Path, grpc_port: int, metrics_port: int, shm_prefix: str
        ) -> tuple[tuple[str, ...], Mapping[str, str]]:
            if not thieves:
                thieves.append(bound_socket("127.0.0.1", grpc_port))
            return super().stage(folder, grpc_port, metrics_port, shm_prefix)

    try:
        with Stack(config, Robbed()) as stack:
            assert len(stack.processes()) == 4
            assert thieves
    finally:
        for thief in thieves:
            thief.close()


def test_what_is_taken_is_refused_by_its_name(config: StackConfig, tmp_path: Path) -> None:
    port, metrics_port = free_ports("127.0.0.1", 1)[0], metrics_ports()
    chosen = replace(config, port=port, metrics_port=metrics_port, lora_dir=tmp_path / "loras")
    for number, field, remedy in (
        (port, "port", "choose another with --port; 0 is a free one"),
        (metrics_port + 1, "metrics_port", "choose others with --metrics-port; 0 means free ones"),
    ):
        problem = rf"^{field}: cannot listen on 127.0.0.1:{number}: Address already in use; {remedy}$"
        with bound_socket("127.0.0.1", number), pytest.raises(FailedPreconditionError, match=problem):
            Stack(chosen, StandIns()).start()
    with Stack(chosen, StandIns()) as stack:
        assert stack.address == f"127.0.0.1:{port}"
        numbers = [int(row.metrics_address.rpartition(":")[2]) for row in stack.processes()]
        assert numbers == [*range(metrics_port + 1, metrics_port + 4), metrics_port]
        with pytest.raises(FailedPreconditionError, match=r"^run_dir: another stack runs in .* --run-dir or XDG_STATE"):
            Stack(config, StandIns()).start()
        with pytest.raises(FailedPreconditionError, match=r"^lora_dir: another stack runs in .* with --lora-dir$"):
            Stack(replace(config, run_dir=tmp_path / "other", lora_dir=chosen.lora_dir), StandIns()).start()
        with pytest.raises(FailedPreconditionError, match="started before"):
            stack.start()
    # Where nothing else is chosen, LoRAs lie in the folder of a stack, and there they are no other's either.
    other = Stack(StackConfig({}, lora_dir=config.lora_folder(tmp_path / "run")), StandIns())
    refusal = pytest.raises(FailedPreconditionError, match=r"^lora_dir: another stack runs in .* with --lora-dir$")
    with Stack(config, StandIns()), refusal:
        other.start()


def test_a_host_that_is_not_here_is_refused_by_its_name(config: StackConfig) -> None:
    problem = r"^host: cannot listen on 192.0.2.1:0: .*; it must be an address of this machine$"
    with pytest.raises(FailedPreconditionError, match=problem):
        Stack(replace(config, host="192.0.2.1", open_to_anyone=True), StandIns()).start()


def test_after_a_kill_ports_are_waited_for_and_the_logs_stay_once(config: StackConfig, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    subprocess.run([sys.executable, "-c", FORGETFUL + KILL, str(run_dir)], capture_output=True, timeout=60)
    logs = {path.name: path.read_text() for path in run_dir.glob("*.log")}
    assert len(logs) == 4
    port = free_ports("127.0.0.1", 1)[0]
    held = bound_socket("127.0.0.1", port)
    timer = threading.Timer(0.5, held.close)
    timer.start()
    chosen = replace(config, port=port)
    with Stack(chosen, StandIns()) as stack:
        assert stack.address == f"127.0.0.1:{port}"
        assert {path.name.removesuffix(".1"): path.read_text() for path in run_dir.glob("*.log.1")} == logs
        assert stack.processes()[-1].metrics_address in (run_dir / "orchestrator.log").read_text()
    timer.join()
    with bound_socket("127.0.0.1", port), pytest.raises(FailedPreconditionError, match=r"^port: cannot listen"):
        Stack(chosen, StandIns()).start()


def test_a_refused_start_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(FailedPreconditionError, match=r"^lora_dir: .* cannot be used: File exists; .* --lora-dir$"):
        Stack(StackConfig({}, lora_dir=tmp_path / "file"), StandIns()).start()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with pytest.raises(FailedPreconditionError, match=r"^run_dir: a temporary folder .* with TMPDIR or --run-dir$"):
        Stack(StackConfig({}), StandIns()).start()


@pytest.mark.parametrize("crash", ["", KILL, "1 / 0"])
def test_a_program_that_forgets_to_stop_leaves_nothing(crash: str, tmp_path: Path) -> None:
    program = subprocess.run(
        [sys.executable, "-c", FORGETFUL + crash, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    pids = [int(word) for word in program.stdout.split()]
    assert len(pids) == 4, program.stderr
    wait_for(lambda: not any(runs(pid) for pid in pids))
    assert not any(group_members(pid) for pid in pids)
