"""A server's part that is started where it cannot run says so in one line, whichever it is."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from triptych.cli.main import main
from triptych.contract import installation
from triptych.embedded.ports import free_ports
from triptych.errors import FailedPreconditionError

HERE = f"this is Python {sys.version_info[0]}.{sys.version_info[1]}."


@pytest.fixture
def other_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(installation, "SERVER_PYTHON", (3, 99))


@pytest.mark.usefixtures("other_python")
@pytest.mark.parametrize(
    ("command", "part", "code"),
    [
        ("up --port 0", "the server", 1),
        ("demo", "the server", 8),
        ("stage unet --port {port} --metrics-port {metrics_port}", "the server", 8),
        ("build /", "building", 8),
        ("cache", "the cache", 8),
    ],
)
def test_commands_on_another_python(command: str, part: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    port, metrics_port = free_ports("127.0.0.1", 2)
    assert main(command.format(port=port, metrics_port=metrics_port).split()) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"{part} needs Python 3.99, and {HERE}" in last
    assert last.endswith("install 'triptych[server]' in an environment of Python 3.99")


ORCHESTRATOR = """
import sys
from triptych.contract import installation
from triptych.embedded.ports import free_ports
{change}
from triptych_orchestrator.__main__ import main
sys.argv[1:] = "--encoder a:1 --unet a:1 --vae a:1 --state-dir nowhere".split()
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("installation.SERVER_PYTHON = (3, 99)", f"the orchestrator needs Python 3.99, and {HERE}"),
        ("sys.modules['grpc_health'] = None", "the orchestrator needs the module 'grpc_health.v1'; install it"),
    ],
)
def test_an_orchestrator_where_it_cannot_run(change: str, problem: str) -> None:
    program = [sys.executable, "-c", ORCHESTRATOR.format(change=change)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert problem in json.loads(line)["message"] and "Traceback" not in line


def test_what_is_missing_is_named_with_its_extra() -> None:
    with (
        pytest.raises(FailedPreconditionError, match=r"'nowhere'; install it: pip install 'triptych\[server,torch\]'"),
        installation.server_packages("building", "server,torch"),
    ):
        raise ModuleNotFoundError("No module named 'nowhere'", name="nowhere")
