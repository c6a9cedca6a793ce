"""`python -m benchmarks whole-request|split-cost|memory`: measures, prints a table, exits 1 if a target is missed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import memory, split_cost, whole_request
from benchmarks.machine import describe
from benchmarks.setting import Setting


def main() -> int:
    """Runs the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, rounds, steps, size in (
        ("whole-request", 3, 10, 256),
        ("split-cost", 5, 20, 512),
        ("memory", 1, 2, 512),
    ):
        command = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        command.add_argument("--folder", type=Path, default=Path("~/.cache/triptych/benchmarks"), help="of checkpoints")
        command.add_argument("--rounds", type=int, default=rounds, help="requests measured")
        command.add_argument("--steps", type=int, default=steps, help="scheduler steps of each")
        command.add_argument("--size", type=int, default=size, help="edge of the picture, pixels")
        if name == "split-cost":
            command.add_argument("--unet", choices=("tiny", "sd15"), default="tiny", help="which size of UNet")
    arguments = parser.parse_args()
    print(describe())
    setting = Setting.of(arguments)
    if arguments.command == "whole-request":
        met = whole_request.run(setting)
    elif arguments.command == "memory":
        met = memory.run(setting)
    else:
        met = split_cost.run(setting, arguments.unet)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
