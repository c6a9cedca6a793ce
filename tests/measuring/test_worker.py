"""A side's process: it answers, with an error where its work fails, and in a bounded time."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from triptych.errors import DeadlineExceededError, TriptychError
from triptych.measuring.worker import Work, Worker, answer_all

MODULE = "tests.measuring.test_worker"


def load() -> Work:
    """The process's side of these tests."""
    sys.stdout.write("what libraries print is no answer\n")
    if "broken" in sys.argv[1]:
        raise OSError("no such checkpoint")

    def work(parameters: dict[str, Any]) -> None:
        if parameters["name"] == "wrong":
            raise ValueError("no such name")
        time.sleep(float(parameters.get("seconds", 0)))

    return work


def test_it_answers_with_the_seconds_that_the_work_took() -> None:
    with Worker(MODULE, {}) as worker:
        worker.wait_ready(30)
        assert 0.1 <= worker.ask({"name": "right", "seconds": 0.1}, 30) < 5


def test_a_failure_is_told_and_the_next_request_is_done() -> None:
    with Worker(MODULE, {}) as worker:
        worker.wait_ready(30)
        with pytest.raises(TriptychError, match="ValueError: no such name"):
            worker.ask({"name": "wrong"}, 30)
        worker.ask({"name": "right"}, 30)


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    with Worker(MODULE, {"broken": True}, tmp_path / "log") as worker:
        with pytest.raises(TriptychError, match="no such checkpoint"):
            worker.wait_ready(30)
        with pytest.raises(TriptychError, match="ended with exit code 1"):
            worker.ask({"name": "right"}, 30)
    assert "no answer" in (tmp_path / "log").read_text()


def test_what_takes_too_long_is_not_waited_for() -> None:
    with Worker(MODULE, {}) as worker:
        worker.wait_ready(30)
        with pytest.raises(DeadlineExceededError, match="did not answer in time"):
            worker.ask({"name": "right", "seconds": 3}, 0.1)


if __name__ == "__main__":
    sys.exit(answer_all(load))
