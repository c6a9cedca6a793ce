"""`triptych up` until its first picture over the gateway, against `--no-gateway` and gRPC."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import triptych
from benchmarks.cases.gateway.calls import Txt2Img, parameters
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import Side, take_turns

TARGET_S = 1.0
PROMPT = "a red circle"


def run(setting: Setting) -> bool:
    """Prints the table; whether the target is met."""
    sides: dict[str, Side] = {
        "with a gateway": lambda _: _first(setting, _over_http),
        "without": lambda _: _first(setting, _over_grpc, "--no-gateway"),
    }
    for side in sides.values():  # graphs are found in the cache after that
        side(0)
    seconds = take_turns(sides, setting.rounds)
    print(f"from `triptych up` to the first picture, the demo checkpoint, {setting.size}x{setting.size}")
    print_seconds(seconds, 2)
    with_it, without = (median(values) for values in seconds.values())
    return print_judgement("medians: seconds more", with_it - without, TARGET_S, " s")


def _first(setting: Setting, draw: Callable[[Setting, str], object], *options: str) -> float:
    """Seconds until there is a picture; `draw` is told what the command prints until it serves."""
    command = [sys.executable, "-m", "triptych", "up", "--port", "0", "--cache-dir", str(setting.cache_dir)]
    began_s = time.perf_counter()
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    told = ""
    try:
        while "serving on" not in told:
            line = process.stdout.readline()
            assert line, "triptych up ended"
            told += line
        draw(setting, told)
        return time.perf_counter() - began_s
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _over_http(setting: Setting, told: str) -> None:
    status, _ = Txt2Img(_found(r"HTTP, at (\S+)", told))(setting, PROMPT, 7)
    assert status == 200


def _over_grpc(setting: Setting, told: str) -> None:
    with triptych.Client(_found(r"serving on ([^;\s]+)", told)) as client:
        client.generate(PROMPT, **parameters(setting, 7))


def _found(pattern: str, told: str) -> str:
    found = re.search(pattern, told)
    assert found, told
    return found.group(1)
