"""`triptych up`: runs the whole stack on this machine, says what runs where, stops on Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable
from types import FrameType

from triptych.cli.actions import columns
from triptych.contract import STAGES
from triptych.contract.engines import ENGINES
from triptych.embedded import Stack, StackConfig
from triptych.embedded.config import LIMIT_NAMES
from triptych.embedded.supervisor import ProcessStatus
from triptych.errors import CancelledError, InvalidArgumentError, TriptychError

EXIT_STOPPED, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand; its `run` is in the parsed arguments."""
    parser = subparsers.add_parser("up", help="run the whole stack on this machine", description=__doc__)
    stages = ", ".join(STAGES)
    add = parser.add_argument
    add(
        "--checkpoint",
        action="append",
        type=_pair(str),
        metavar="NAME=PATH",
        help="repeatable; default: the demo",
    )
    add("--engine", choices=ENGINES, default="onnxruntime", help="default: %(default)s")
    add(
        "--host",
        default="127.0.0.1",
        help="the API's address (default: %(default)s); all else stays on loopback",
    )
    add("--port", type=int, default=50051, help="the API's port, 0 for a free one (default: %(default)s)")
    add("--run-dir", help="logs and state (default: a temporary folder, removed after a clean stop)")
    add("--cache-dir", help="engine artifacts (default: $TRIPTYCH_CACHE_DIR or ~/.cache/triptych)")
    add(
        "--threads",
        action="append",
        type=_pair(int),
        default=[],
        metavar="STAGE=N",
        help=f"cores; of {stages}",
    )
    add(
        "--replicas",
        action="append",
        type=_pair(int),
        default=[],
        metavar="STAGE=N",
        help=f"servers; of {stages}",
    )
    add("--placement", metavar="FILE", help="which replicas run on which cores, device or host, in place of the two")
    add(
        "--limit",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=VALUE",
        help=f"repeatable; of {', '.join(LIMIT_NAMES)}",
    )
    add(
        "--lora",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=FILE",
        help="a LoRA's safetensors file; repeatable",
    )
    add("--lora-dir", help="where LoRAs are kept across restarts (default: in the run directory)")
    add("--startup-timeout", type=float, default=300.0, metavar="SECONDS", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs until a signal: 0 after a stop asked for, 1 when the stack fails, 2 for a wrong argument."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        stack = Stack(_config(args))
    except InvalidArgumentError as error:
        return _complain(error, EXIT_USAGE)
    except TriptychError as error:
        return _complain(error, EXIT_FAILED)
    return serve(stack)


def serve(stack: Stack) -> int:
    """Starts the stack and stays until a signal stops it; a second signal ends the grace periods."""
    _stop_on_signals(stack)
    try:
        print("starting the stages' Triton servers and the orchestrator", flush=True)
        stack.start()
        print(table(stack.processes()), flush=True)
        print(f"\nserving on {stack.address}; Ctrl-C stops everything", flush=True)
        stack.wait()
        failed = stack.failure is not None
    except CancelledError:  # a signal came during the start
        failed = False
    except (TriptychError, OSError) as error:
        return _complain(error, EXIT_FAILED)
    finally:
        stack.stop()
    print("stopped", flush=True)
    return EXIT_FAILED if failed else EXIT_STOPPED


def table(rows: list[ProcessStatus]) -> str:
    """What runs where, in columns."""
    header = ("PROCESS", "PID", "DEVICE", "CORES", "ENGINE", "ADDRESS", "METRICS", "LOG")
    cells = [header]
    for row in rows:
        metrics = f"http://{row.metrics_address}/metrics" if row.metrics_address else "-"
        cells.append((row.name, str(row.pid or "-"), *row.place, row.address, metrics, row.log_path or "-"))
    return "\n".join(columns(cells))


def _config(args: argparse.Namespace) -> StackConfig:
    checkpoints = dict(args.checkpoint or [])
    if not checkpoints:
        from triptych.demo import checkpoint_path

        checkpoints = {"demo": checkpoint_path()}
    return StackConfig(
        checkpoints,
        engine=args.engine,
        host=args.host,
        port=args.port,
        run_dir=args.run_dir,
        cache_dir=args.cache_dir,
        replicas=dict(args.replicas),
        threads=dict(args.threads),
        placement=args.placement,
        limits=dict(args.limit),
        loras=dict(args.lora),
        lora_dir=args.lora_dir,
        startup_timeout_s=args.startup_timeout,
    )


def _pair(kind: Callable[[str], int | str]) -> Callable[[str], tuple[str, int | str]]:
    def parse(text: str) -> tuple[str, int | str]:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
        try:
            return name, kind(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{value!r} in {text!r} is not a number") from None

    return parse


def _stop_on_signals(stack: Stack) -> None:
    def on_signal(number: int, frame: FrameType | None) -> None:
        stack.request_stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)


def _complain(error: Exception, code: int) -> int:
    print(f"triptych up: {error}", file=sys.stderr)
    return code
