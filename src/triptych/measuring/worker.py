"""A process that does one side's work for as long as a `with` block: a line of JSON is asked, and one answered.

with Worker("triptych.measuring.diffusers_worker", {"checkpoint": str(path), "threads": 2}) as diffusers:
    seconds = diffusers.ask({"prompt": "a red circle", "num_inference_steps": 10}, timeout_s=60)
"""

from __future__ import annotations

import json
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from triptych.errors import DeadlineExceededError, TriptychError

_END_S = 5.0
Work = Callable[[dict[str, Any]], None]


class Worker:
    """Starts `python -m MODULE SETTING`; what it says beside its answers goes to `log`, or where ours goes."""

    def __init__(self, module: str, setting: Mapping[str, Any], log: Path | None = None) -> None:
        self._name = module.rpartition(".")[2]
        command = [sys.executable, "-m", module, json.dumps(setting)]
        self._log = log.open("ab") if log else None
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, bufsize=0
        )
        self._rest = b""

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait_ready(self, timeout_s: float = math.inf) -> None:
        """Returns once it has loaded what it needs."""
        self._answer(timeout_s)

    def ask(self, parameters: Mapping[str, Any], timeout_s: float = math.inf) -> float:
        """Seconds that the work took there; TriptychError says what went wrong, or that no answer came in time."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended, as the answer will say
                self._process.stdin.write(json.dumps(parameters).encode() + b"\n")
        return self._answer(timeout_s)

    def _answer(self, timeout_s: float) -> float:
        answer = json.loads(self._line(time.monotonic() + timeout_s))
        if "error" in answer:
            raise TriptychError(answer["error"])
        return float(answer["seconds"])

    def _line(self, deadline_s: float) -> bytes:
        pipe = self._process.stdout
        if pipe is None:
            raise RuntimeError("the worker has no pipes")
        while b"\n" not in self._rest:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise DeadlineExceededError(f"the {self._name} did not answer in time")
            if select.select([pipe], [], [], min(left_s, 1.0))[0]:
                part = os.read(pipe.fileno(), 65536)
                if not part:
                    raise TriptychError(f"the {self._name} ended with exit code {self._process.wait()}")
                self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._log is not None:
            self._log.close()


def answer_all(load: Callable[[], Work]) -> int:
    """The process's side: loads, then does each request of stdin and answers with its seconds, until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    work: Work | None = None

    def first(_parameters: dict[str, Any]) -> None:
        nonlocal work
        work = load()

    _answer_one(answers, first, {})
    if work is None:
        return 1
    for line in sys.stdin:
        _answer_one(answers, work, json.loads(line))
    return 0


def _answer_one(answers: Any, work: Work, parameters: dict[str, Any]) -> None:
    began = time.perf_counter()
    try:
        work(parameters)
    except Exception as error:  # of whichever library; the next request may succeed
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
    else:
        answers.write(json.dumps({"seconds": time.perf_counter() - began}) + "\n")
