from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Triptych
from triptych import errors
from triptych._version import __version__
from triptych.cli import exit_codes
from triptych.cli.main import main

COMMANDS = {
    "up": "--checkpoint",
    "generate": "--num-inference-steps",
    "checkpoints": "unload",
    "checkpoints add": "--engine",
    "loras": "remove",
    "loras add": "FILE",
    "build": "--cache-dir",
    "cache": "prune",
    "cache prune": "--unused-for",
    "demo": "--seed",
    "version": "--server",
}


@pytest.mark.parametrize(("command", "mentions"), COMMANDS.items())
def test_help_of_each_command(command: str, mentions: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert mentions in capsys.readouterr().out


def test_help_names_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command.split()[0] in shown for command in COMMANDS)
    assert exit_codes.TABLE.strip() in shown


@pytest.mark.parametrize("argv", [[], ["fly"], ["generate"], ["generate", "x", "--width", "wide"]])
def test_wrong_usage_is_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "usage: triptych" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("INTERNAL", 1),
        ("INVALID_ARGUMENT", 2),
        ("CHECKPOINT_INVALID", 2),
        ("NOT_FOUND", 3),
        ("STAGE_UNAVAILABLE", 4),
        ("CANCELLED", 5),
        ("DEADLINE_EXCEEDED", 6),
        ("RESOURCE_EXHAUSTED", 7),
        ("ARTIFACT_MISSING", 8),
        ("ALREADY_EXISTS", 9),
    ],
)
def test_each_error_has_its_exit_code(
    triptych: Triptych, reason: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert triptych("generate", f"fail {reason}") == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"triptych: no luck: {reason}\n")


def test_the_table_and_the_mapping_agree() -> None:
    mapped = {exit_codes.exit_code(kind("")) for kind in errors.BY_REASON.values()}
    assert mapped == {*range(1, 10), 11}
    assert all(f" {code}  " in exit_codes.TABLE for code in mapped | {0, 130})


def test_no_server_is_4_and_names_the_address(nowhere: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoints", "--address", nowhere]) == 4
    assert f"{nowhere} does not answer" in capsys.readouterr().err


def test_timeout_is_6(triptych: Triptych) -> None:
    assert triptych("generate", "slow", "--timeout", "0.2") == 6


def test_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.print", lambda *a, **k: interrupted("") if "python" in str(a) else None)
    assert main(["version"]) == 130


@pytest.mark.parametrize(
    ("command", "module", "says"),
    [
        ("triptych version", "grpc", "triptych: interrupted\n"),
        ("triptych_orchestrator --encoder a:1 --unet a:1 --vae a:1 --state-dir x", "prometheus_client", ""),
    ],
)
def test_ctrl_c_before_everything_is_imported(command: str, module: str, says: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("import time; print('importing', flush=True); time.sleep(60)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", *command.split()],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "importing\n"
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=30) == ("", says)
        assert program.returncode == 130


def test_python_runs_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "triptych", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"triptych {__version__}\n"


@pytest.mark.parametrize(
    ("odd", "shown"),
    [
        ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "jürgen-図".encode() + b"-\xff"),
        ({"PYTHONIOENCODING": "latin-1:strict"}, "jürgen".encode("latin-1") + rb"-\u56f3-\udcff"),
        ({"PYTHONIOENCODING": "utf-8:strict"}, "jürgen-図".encode() + b"-\xff"),
    ],
)
def test_names_are_shown_in_any_locale(odd: dict[str, str], shown: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "jürgen-図-\udcff"
    folder.mkdir()
    command = [sys.executable, "-m", "triptych", "cache", "--cache-dir", folder]
    done = subprocess.run(command, env=os.environ | odd, capture_output=True, timeout=60, check=True)
    assert b"nothing is in " + os.fsencode(tmp_path) + b"/" + shown + b";" in done.stdout


def test_a_reader_that_leaves_is_no_traceback() -> None:
    command = f"{sys.executable} -m triptych version | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr


def test_version(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    assert triptych("version", "--server") == 0
    shown = capsys.readouterr().out
    assert f"triptych {__version__}\n" in shown
    assert "server 9.9 at 127.0.0.1:" in shown
    assert "unet-0: unet at 127.0.0.1:1, ready" in shown
    assert main(["--version"]) == 0
