"""The units: sound to systemd, hardened, and with options that the commands have."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.cli.main import build_parser
from triptych.contract import STAGES
from triptych_gateway.__main__ import parse as parse_gateway
from triptych_orchestrator.__main__ import parse as parse_orchestrator

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
# Of 100: what systemd finds such a service may do that it need not; 96 for one without a word.
MOST_EXPOSURE = 20
NEEDED = {
    "triptych-orchestrator": "--encoder 127.0.0.1:8001 --unet 127.0.0.1:8011 --vae 127.0.0.1:8021",
    "triptych-gateway": "--orchestrator 10.0.0.7:50051 --credentials /etc/triptych/credentials",
    "triptych": "--host 0.0.0.0 --credentials /etc/triptych/credentials",
}

analyzed = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit with a command that is here, of a template an instance."""
    unit: Path = request.param
    copy = tmp_path / unit.name.replace("@", "@unet")
    copy.write_text(re.sub(r"/opt/triptych/bin/\S+", sys.executable, unit.read_text()))
    return copy


units = pytest.mark.parametrize("here", UNITS, ids=lambda unit: unit.stem, indirect=True)


@analyzed
@units
def test_systemd_takes_it(here: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True, timeout=60)
    ours = [line for line in done.stderr.splitlines() if here.name in line]
    assert not ours and done.returncode == 0, done.stderr


@analyzed
@units
def test_it_may_do_little(here: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE}", str(here)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_it_runs_again_whatever_happens_and_logs_to_the_journal(unit: Path) -> None:
    text = unit.read_text()
    for line in ("Restart=always", "StartLimitIntervalSec=0", "StandardError=journal", "NoNewPrivileges=yes"):
        assert f"\n{line}\n" in text


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_its_command_has_such_options(unit: Path) -> None:
    (line,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    name, *words = shlex.split(line.removeprefix("ExecStart=/opt/triptych/bin/"))
    assert words.pop() == "$TRIPTYCH_OPTIONS"
    words += shlex.split(NEEDED.get(unit.stem, "--port 8011 --metrics-port 8012"))
    match name:
        case "triptych":
            for stage in STAGES:
                build_parser().parse_args([word.replace("%i", stage) for word in words])
        case "triptych-orchestrator":
            parse_orchestrator(words)
        case "triptych-gateway":
            parse_gateway(words)
