from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from triptych.embedded.processes.progress_lines import ProgressLines
from triptych.logs import JsonFormatter


def line(message: str, **extra: object) -> str:
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", **extra})
    return JsonFormatter("unet-0").format(record) + "\n"


def test_what_is_said_about_long_work_is_told_once(tmp_path: Path) -> None:
    log = tmp_path / "unet-0.log"
    log.write_text(line("of the start before", progress=True))
    lines = ProgressLines({"unet-0": log, "vae-0": tmp_path / "vae-0.log"})
    assert list(lines.new()) == []
    half = line("step 2", progress=True)
    with log.open("a") as stream:
        stream.write(line("model loaded") + line("step 1", progress=True) + half[:20])
    assert list(lines.new()) == [("unet-0", "step 1")]
    with log.open("a") as stream:
        stream.write(half[20:])
    (tmp_path / "vae-0.log").write_text(line("its first", progress=True))
    assert list(lines.new()) == [("unet-0", "step 2"), ("vae-0", "its first")]
    assert list(lines.new()) == []


@pytest.mark.parametrize("text", ['I1125 "progress"\n', json.dumps({"progress": "often"}) + "\n", '["progress"]\n'])
def test_other_lines_are_passed_over(tmp_path: Path, text: str) -> None:
    log = tmp_path / "unet-0.log"
    lines = ProgressLines({"unet-0": log})
    log.write_text(text)
    assert list(lines.new()) == []
