"""Structured logs, as a process of their own writes them: one JSON object a line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

_PROGRAM = """
import logging
from triptych.logs import request_id, setup_logging

setup_logging("unet", in_thread={in_thread})
logger = logging.getLogger("triptych.stage")
request_id.set("r1")
for number in range(100):
    logger.info("batch %d", number, extra={{"request_ids": ["a", "b"], "samples": number}})
logger.debug("too little")
try:
    raise ValueError("what went wrong")
except ValueError:
    logger.exception("batch failed")
"""


def lines(in_thread: bool) -> list[dict[str, Any]]:
    program = [sys.executable, "-c", _PROGRAM.format(in_thread=in_thread)]
    run = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in run.stderr.splitlines()]


@pytest.mark.parametrize("in_thread", [False, True])
def test_every_line_is_there_in_order_when_the_process_ends(in_thread: bool) -> None:
    *batches, failure = lines(in_thread)
    assert [line["message"] for line in batches] == [f"batch {number}" for number in range(100)]
    assert [line["samples"] for line in batches] == list(range(100))
    assert all(line["service"] == "unet" and line["level"] == "INFO" for line in batches)
    assert all(line["request_ids"] == ["a", "b"] for line in batches)
    assert failure["message"] == "batch failed" and "ValueError: what went wrong" in failure["exception"]


def test_the_request_is_known_to_lines_that_are_made_where_they_are_logged() -> None:
    assert {line["request_id"] for line in lines(in_thread=False)} == {"r1"}
