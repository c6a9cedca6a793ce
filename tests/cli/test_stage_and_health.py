from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tritonclient.grpc as triton_client
from tritonclient.utils import InferenceServerException

from tests.embedded import echo
from tests.embedded.conftest import environment_of, stub_below, triton_below, wait_for
from triptych.cli.main import main
from triptych.embedded.folders.shm import FOLDER
from triptych.embedded.ports import bound_socket, free_ports


def test_a_stage_alone_answers_and_ends_on_sigterm(tmp_path: Path) -> None:
    port, metrics_port = free_ports("127.0.0.1", 2)
    left_behind = FOLDER / f"triptych-vae-{port}-left"
    left_behind.touch()
    command = [sys.executable, "-m", "triptych.cli.main", "stage", "vae", "--run-dir", str(tmp_path)]
    core = min(os.sched_getaffinity(0))
    command += ["--cores", str(core), "--engine", "torch", "--precision", "bf16"]
    ports = ["--port", str(port), "--metrics-port", str(metrics_port)]
    with (tmp_path / "log").open("w") as log, subprocess.Popen([*command, *ports], stdout=log, stderr=log) as stage:
        try:
            health = ["health", "--stage", "--address", f"127.0.0.1:{port}"]
            wait_for(lambda: main(health) == 0, 60)
            triton = triton_below(stage.pid)
            assert not left_behind.exists()
            ours = {"STAGE": "vae", "THREADS": "1", "ENGINE": "torch", "PRECISION": "bf16"}
            assert {f"TRIPTYCH_{name}": value for name, value in ours.items()}.items() <= environment_of(triton).items()
            assert os.sched_getaffinity(triton) == {core}
            assert main(["stage", "vae", *ports]) == 8  # the port is taken
            assert main(health) == 0
        finally:
            os.kill(stage.pid, signal.SIGTERM)
        assert stage.wait(30) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_stage_whose_models_process_died_during_a_call_ends_orderly(tmp_path: Path) -> None:
    """Triton keeps such a model for good, and by itself would wait for it at the end and exit with 1."""
    port, metrics_port = free_ports("127.0.0.1", 2)
    command = [sys.executable, "-m", "triptych.cli.main", "stage", "vae", "--run-dir", str(tmp_path)]
    ports = ["--port", str(port), "--metrics-port", str(metrics_port)]
    with (tmp_path / "log").open("w") as log, subprocess.Popen([*command, *ports], stdout=log, stderr=log) as stage:
        try:
            wait_for(lambda: main(["health", "--stage", "--address", f"127.0.0.1:{port}"]) == 0, 60)
            with triton_client.InferenceServerClient(f"127.0.0.1:{port}") as client:
                echo.load(client)
                os.kill(stub_below(triton_below(stage.pid)), signal.SIGKILL)
                with pytest.raises(InferenceServerException, match="is not healthy"):
                    echo.ask(client)
                echo.load(client)
                assert echo.ask(client)
        finally:
            stage.terminate()
        assert stage.wait(60) == 0
    assert "Exit timeout expired" not in (tmp_path / "log").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_stage_ends_with_its_server(tmp_path: Path) -> None:
    port, metrics_port = free_ports("127.0.0.1", 2)
    command = [sys.executable, "-m", "triptych.cli.main", "stage", "vae", "--run-dir", str(tmp_path)]
    with subprocess.Popen([*command, "--port", str(port), "--metrics-port", str(metrics_port)]) as stage:
        wait_for(lambda: main(["health", "--stage", "--address", f"127.0.0.1:{port}"]) == 0, 60)
        os.kill(triton_below(stage.pid), signal.SIGKILL)
        assert stage.wait(30) == 128 + signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "options", "problem"),
    [
        ({}, ["--device", "gpu"], "device: 'gpu' is neither cpu nor cuda:<index>"),
        ({"TRIPTYCH_DEVICE": "cuda:0"}, [], "engine: must be named: torch or tensorrt"),
        ({"TRIPTYCH_ENGINE": "magic"}, [], "engine: 'magic' is not one of onnxruntime, torch"),
        ({"TRIPTYCH_CORES": "9999"}, [], "cores: 9999 cannot be had"),
        ({"TRIPTYCH_CORES": "9999"}, ["--cores", "1-0"], "cores: '1-0' is no set of cores"),
        ({"TRIPTYCH_THREADS": "many"}, [], "threads: 'many' is not a whole number"),
    ],
)
def test_where_it_cannot_run_is_2(
    variables: dict[str, str],
    options: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    port, metrics_port = free_ports("127.0.0.1", 2)
    assert main(["stage", "unet", "--port", str(port), "--metrics-port", str(metrics_port), *options]) == 2
    assert f"triptych: {problem}" in capsys.readouterr().err


def test_what_a_stage_cannot_have_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    port, metrics_port = free_ports("127.0.0.1", 2)
    command = ["stage", "unet", "--port", str(port), "--metrics-port", str(metrics_port)]
    assert main([*command, "--run-dir", str(tmp_path / "file")]) == 8
    assert capsys.readouterr().err.endswith("cannot be used: File exists; name another folder with --run-dir\n")
    with bound_socket("127.0.0.1", metrics_port):
        assert main(command) == 8
    assert capsys.readouterr().err.startswith("triptych: metrics_port: cannot listen on 127.0.0.1:")


def test_health_of_nothing_is_4(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        assert main(["health", "--address", address]) == 4
    assert capsys.readouterr().err == f"triptych: {address} does not serve\n"


@pytest.mark.parametrize("argv", [["stage"], ["stage", "scheduler"], ["stage", "unet", "--port", "0"]])
def test_wrong_usage_is_2(argv: list[str]) -> None:
    assert main(argv) == 2
