from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from triptych.contract import STAGES
from triptych.embedded.processes.log_files import set_aside, why_it_ended

BEFORE = json.dumps({"level": "ERROR", "message": "kept checkpoint is unusable"})
REASON = json.dumps({"level": "ERROR", "message": "checkpoints: x: unet/config.json is broken", "reason": "X"})
STOPPED = json.dumps({"level": "INFO", "message": "stopped"})
TRACEBACK = "Traceback (most recent call last):\n  ...\nKeyError: 'x'"


def test_the_last_error_is_the_reason(tmp_path: Path) -> None:
    log = tmp_path / "orchestrator.log"
    for lines in ([BEFORE, REASON], [BEFORE, STOPPED, REASON, "a library's own line"], [BEFORE, REASON, STOPPED, "[]"]):
        log.write_text("\n".join(lines) + "\n")
        assert why_it_ended(log) == f"checkpoints: x: unet/config.json is broken; its log is {log}"


def test_a_wrong_argument_is_a_reason_too(tmp_path: Path) -> None:
    log = tmp_path / "orchestrator.log"
    command = [sys.executable, "-m", "triptych_orchestrator", "--state-dir", str(tmp_path), "--limit", "x=1"]
    with log.open("wb") as stream:
        ours = [part for stage in STAGES for part in (f"--{stage}", "127.0.0.1:1")]
        assert subprocess.run([*command, *ours], stderr=stream, timeout=60).returncode == 2
    assert why_it_ended(log).startswith("limit: 'x' is not one of max_width")


def test_what_is_no_report_is_shown_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "unet-0.log"
    for lines in ([STOPPED], [BEFORE, TRACEBACK], ["error: creating server: Internal"], []):
        log.write_text("\n".join(lines))
        assert why_it_ended(log) == f"the end of {log}:\n{log.read_text()}"


def test_the_log_of_the_start_before_stays(tmp_path: Path) -> None:
    log = tmp_path / "unet-0.log"
    set_aside(log)
    for start in ("first", "second", "third"):
        log.write_text(start)
        set_aside(log)
        assert (tmp_path / "unet-0.log.1").read_text() == start
    assert [path.name for path in tmp_path.iterdir()] == ["unet-0.log.1"]
