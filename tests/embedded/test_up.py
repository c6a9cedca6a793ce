from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from triptych.cli.commands import up
from triptych_orchestrator.settings import Limits

from .conftest import runs, wait_for

SERVE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from standin import StandIns
from triptych.cli.commands.up import serve
from triptych.embedded import Stack, StackConfig
sys.exit(serve(Stack(StackConfig({{}}, run_dir=sys.argv[1], cache_dir=sys.argv[1]), StandIns(*sys.argv[2:]))))
"""


def test_help_names_every_limit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    shown = capsys.readouterr().out
    assert all(limit.name in shown for limit in fields(Limits))


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="triptych")
    up.add_parser(parser.add_subparsers())
    return parser.parse_args(["up", *arguments])


def test_ip_adapters_and_their_image_encoders() -> None:
    arguments = ("--ip-adapter", "plus=plus.safetensors", "--image-encoder", "plus=vision")
    config = up.configuration(parse(*arguments))
    assert (config.others, config.image_encoders) == ({"plus": "plus.safetensors"}, {"plus": "vision"})


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGTERM, signal.SIGTERM]])
def test_a_signal_stops_everything(signals: list[signal.Signals], tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        lines = [program.stdout.readline() for _ in range(8)]
        assert "serving on 127.0.0.1:" in lines[-1]
        assert lines[1].split() == ["PROCESS", "PID", "DEVICE", "CORES", "ENGINE", "ADDRESS", "METRICS", "LOG"]
        pids = [int(line.split()[1]) for line in lines[2:6]]
        assert all(runs(pid) for pid in pids)
        for number in signals:
            program.send_signal(number)
        assert program.stdout.read() == "stopped\n"
        assert program.wait(30) == 0
    assert not any(runs(pid) for pid in pids)


def test_a_signal_during_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(tmp_path), "--mute"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        wait_for((tmp_path / "orchestrator.log").exists)
        time.sleep(0.2)
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 0


def test_a_failed_start_is_1(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(tmp_path), "--die", "no such engine"]
    program = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert program.returncode == 1
    assert "no such engine" in program.stderr
    assert "Traceback" not in program.stderr


def test_the_reason_of_a_failed_start_is_shown_and_where_the_log_is(tmp_path: Path) -> None:
    report = json.dumps({"level": "ERROR", "message": "x: unet/config.json is broken", "reason": "CHECKPOINT_INVALID"})
    command = [sys.executable, "-c", SERVE, str(tmp_path), "--die", report]
    program = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert program.returncode == 1
    assert program.stderr == (
        "triptych up: orchestrator ended while it started (exit code 3): x: unet/config.json is broken; "
        f"its log is {tmp_path}/orchestrator.log\n"
    )


@pytest.mark.parametrize(
    ("arguments", "run_dir", "ports"),
    [
        ([], "/state/triptych", (50051, 50052)),
        (["--port=6000"], "/state/triptych", (6000, 6001)),
        (["--port=6000", "--metrics-port=0"], "/state/triptych", (6000, 0)),
        (["--metrics-port=9000"], "/state/triptych", (50051, 9000)),
        (["--ephemeral"], None, (50051, 50052)),
        (["--run-dir=/run/x"], "/run/x", (50051, 50052)),
        (["--port=0"], None, (0, 0)),
        (["--port=0", "--run-dir=/run/x", "--metrics-port=9000"], "/run/x", (0, 9000)),
    ],
)
def test_where_state_is_kept_and_which_ports_are_taken(
    arguments: list[str], run_dir: str | None, ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    config = up.configuration(parse(*arguments))
    config.validate()
    assert str(config.run_dir) == str(run_dir)
    assert (config.port, config.metrics_port) == ports
    assert config.checkpoints is None


def test_a_checkpoint_is_called_as_its_file_is() -> None:
    args = parse("/models/sd_xl_base_1.0.safetensors", "/models/v1.5/", "--checkpoint", "mine=/models/x.ckpt")
    paths = {"sd_xl_base_1.0": "/models/sd_xl_base_1.0.safetensors", "v1.5": "/models/v1.5", "mine": "/models/x.ckpt"}
    assert {name: str(path) for name, path in (up.configuration(args).checkpoints or {}).items()} == paths


def test_what_draws_nothing_leaves_room_for_the_demo() -> None:
    named = (
        "--controlnet",
        "canny=/nets/canny.pth",
        "--upscaler",
        "x4=/x4.pth",
        "--preprocessor",
        "depth_midas=/d.onnx",
    )
    config = up.configuration(parse(*named))
    assert config.checkpoints is None
    assert config.others == {"canny": "/nets/canny.pth", "x4": "/x4.pth", "depth_midas": "/d.onnx"}


def test_a_folder_and_none_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--ephemeral", "--run-dir=/run/x")
    assert "argument --run-dir: not allowed with argument --ephemeral" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argument", ["--checkpoint=x", "--threads=unet=many", "--limit==1", "--engine=magic", "--lora=x"]
)
def test_what_cannot_be_parsed_is_2(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(argument)
    assert caught.value.code == 2
    assert argument.split("=")[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--checkpoint=x=/no/such"], "checkpoints: x: /no/such is no file or directory"),
        (["/a/x.safetensors", "/b/x.ckpt"], "checkpoint: 2 are called x; name them apart"),
        (["--checkpoint=x=/", "--replicas=unet=0"], "replicas: unet: 0 is not within"),
        (["--checkpoint=x=/", "--lora=ink=/no/such"], "loras: ink: /no/such does not exist"),
        (["--port=65535"], "metrics_port: with one for each stage server, the ports from 65536 on end beyond 65535"),
        (["--run-dir="], "run_dir: is empty"),
        (["--checkpoint=x=/", "--threads=gpu=1"], "threads: 'gpu' is none of the stages"),
        (
            ["--checkpoint=x=/", "--limit=max_pixel=1"],
            "limits: 'max_pixel' is none of max_width, max_height, max_pixels",
        ),
        (["--checkpoint=x=/", "--watermark=seventeen letters"], "watermark: must be a printable text of 1 to 16 bytes"),
        (["--checkpoint=x=/", "--placement=/no/such"], "placement: /no/such cannot be read: No such file"),
        (["--checkpoint=x=/", "--placement=x", "--replicas=unet=2"], "replicas: cannot be given together with"),
        (["--checkpoint=x=/", "--placement=x", "--threads=unet=2"], "threads: cannot be given together with"),
    ],
)
def test_a_wrong_value_is_2(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    args = parse(*arguments)
    assert args.run(args) == 2
    assert problem in capsys.readouterr().err
