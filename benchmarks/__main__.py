"""`python -m benchmarks NAME`: measures, prints a table, exits 1 if a target is missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import (
    adapters,
    concurrency,
    first_picture,
    guidance_split,
    half_weights,
    memory,
    own_memory,
    pickled,
    real_files,
    registration,
    reload,
    split_cost,
    switch,
    whole_request,
)
from benchmarks.cases.controlnet import at_once, unused
from benchmarks.cases.controlnet import request as control_request
from benchmarks.cases.controlnet import switch as control_switch
from benchmarks.cases.gateway import crowd, latency, start
from benchmarks.cases.loras import refittable, step, swap, swaps
from benchmarks.cases.pictures import large_pictures, tasks
from benchmarks.setting import Setting
from triptych.measuring.checkpoints import SIZES
from triptych.measuring.machine import describe


@dataclass(frozen=True)
class _Benchmark:
    """What runs, and the defaults of its arguments."""

    run: Callable[[Setting], bool]
    rounds: int
    steps: int
    size: int = 256
    unet: str = "sd15"


BENCHMARKS = {
    "whole-request": _Benchmark(whole_request.run, 3, 10),
    "split-cost": _Benchmark(split_cost.run, 5, 20, 512, "tiny"),
    "memory": _Benchmark(memory.run, 1, 2, 512),
    "own-memory": _Benchmark(own_memory.run, 1, 2, 512, "sdxl"),
    "tasks": _Benchmark(tasks.run, 3, 10),
    "large-pictures": _Benchmark(large_pictures.run, 1, 1, 1024),
    "lora-step": _Benchmark(step.run, 15, 1),
    "refittable": _Benchmark(refittable.run, 15, 1),
    "half-weights": _Benchmark(half_weights.run, 15, 1, 256, "sd15-fp16"),
    "lora-swap": _Benchmark(swap.run, 5, 1),
    "lora-swaps": _Benchmark(swaps.run, 20, 50, 64),
    "guidance-split": _Benchmark(guidance_split.run, 3, 20),
    "concurrency": _Benchmark(concurrency.run, 3, 4),
    "switch": _Benchmark(switch.run, 5, 2),
    "control-request": _Benchmark(control_request.run, 3, 6),
    "control-switch": _Benchmark(control_switch.run, 3, 4),
    "control-at-once": _Benchmark(at_once.run, 3, 4),
    "control-unused": _Benchmark(unused.run, 20, 1),
    "adapter-request": _Benchmark(adapters.run, 3, 6),
    "first-picture": _Benchmark(first_picture.run, 5, 4),
    "reload": _Benchmark(reload.run, 30, 1),
    "pickled": _Benchmark(pickled.run, 3, 1),
    "real-files": _Benchmark(real_files.run, 1, 4, 512, "sdxl"),
    "registration": _Benchmark(registration.run, 5, 1),
    "gateway-latency": _Benchmark(latency.run, 30, 4, 128),
    "gateway-crowd": _Benchmark(crowd.run, 3, 4, 128),
    "gateway-start": _Benchmark(start.run, 5, 4, 128),
}


def main() -> int:
    """Runs the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, benchmark in BENCHMARKS.items():
        about = (sys.modules[benchmark.run.__module__].__doc__ or "").partition("\n")[0]
        command = commands.add_parser(
            name, help=about, description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        command.add_argument("--folder", type=Path, default=Path("~/.cache/triptych/benchmarks"), help="of checkpoints")
        command.add_argument("--rounds", type=int, default=benchmark.rounds, help="how often each side is measured")
        command.add_argument("--steps", type=int, default=benchmark.steps, help="steps of each measurement")
        command.add_argument("--size", type=int, default=benchmark.size, help="edge of the picture, pixels")
        command.add_argument("--unet", choices=sorted(SIZES), default=benchmark.unet, help="which size of checkpoint")
    arguments = parser.parse_args()
    print(describe(), flush=True)
    return 0 if BENCHMARKS[arguments.command].run(Setting.of(arguments)) else 1


if __name__ == "__main__":
    sys.exit(main())
