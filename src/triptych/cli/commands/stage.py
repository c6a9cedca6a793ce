"""`triptych stage`: one stage's Triton Inference Server by itself, for a container or a machine of its own."""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path
from typing import Any

from triptych.contract import STAGES
from triptych.contract.engines import ENGINES, PRECISIONS
from triptych.embedded.config import StackConfig
from triptych.embedded.cores import parse_cores
from triptych.embedded.folders.places import usable
from triptych.embedded.folders.shm import remove_regions
from triptych.embedded.folders.temporary import TemporaryFolder
from triptych.embedded.ports import join, obstacle
from triptych.embedded.processes.process import TICK_S, Process, ProcessSpec, stop_all
from triptych.embedded.processes.triton import as_triton, find_triton
from triptych.embedded.replica import Replica
from triptych.errors import FailedPreconditionError, invalid


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "stage",
        help="run one stage's server alone",
        description="Runs one stage's Triton Inference Server and ends with it; the orchestrator tells it what to "
        "load. Threads: $TRIPTYCH_THREADS, default one for each core. Engine artifacts: $TRIPTYCH_CACHE_DIR, default "
        "~/.cache/triptych. Each of the last four options can be given in the environment instead. Whoever reaches "
        "its port can make it run any code: give it a --host other than loopback only in a network of its own.",
    )
    add = parser.add_argument
    add("stage", choices=STAGES)
    add("--host", default="127.0.0.1", help="the address of gRPC and metrics (default: %(default)s)")
    add("--port", type=int, default=8001, help="of gRPC (default: %(default)s)")
    add("--metrics-port", type=int, default=8002, help="of Prometheus metrics (default: %(default)s)")
    add("--run-dir", type=Path, metavar="DIR", help="temporary files go here (default: $TMPDIR, or /tmp)")
    add("--cores", metavar="CORES", help="pin it to these, 0-3,8 say (default: $TRIPTYCH_CORES, or all)")
    add("--device", help="cpu or cuda:<index> (default: $TRIPTYCH_DEVICE, or cpu)")
    names = ", ".join(ENGINES)
    add(
        "--engine",
        metavar="NAME",
        help=f"{names}; for checkpoints without one of their own (default: $TRIPTYCH_ENGINE)",
    )
    add(
        "--precision",
        help=f"{', '.join(PRECISIONS)}, inside the engine (default: $TRIPTYCH_PRECISION, else fp16 on a GPU)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Returns when the server has ended: 0 if that was asked for and orderly."""
    for option in ("port", "metrics_port"):
        port = getattr(arguments, option)
        if not 1 <= port <= 65_535:
            raise invalid(option, f"{port} is not within 1..65535")
        if reason := obstacle(arguments.host, port):
            raise FailedPreconditionError(f"{option}: {reason}", field=option)
    replica = _replica(arguments)
    with usable("run_dir", arguments.run_dir or "a temporary folder", "name another folder with --run-dir"):
        temporary = TemporaryFolder(arguments.run_dir)
    with temporary:
        return _serve(_specification(arguments, replica, temporary.path))


def _specification(arguments: argparse.Namespace, replica: Replica, temporary: Path) -> ProcessSpec:
    triton, folder = find_triton(), temporary / "triton"
    triton.prepare(folder)
    shm_prefix = f"triptych-{arguments.stage}-{arguments.port}-"
    command = triton.command(folder, arguments.port, arguments.metrics_port, shm_prefix, arguments.host)
    ours = {"TRIPTYCH_STAGE": arguments.stage, "TRIPTYCH_CACHE_DIR": str(StackConfig({}).cache_path)}
    return ProcessSpec(
        name=arguments.stage,
        command=command,
        env=triton.environment(folder) | ours | replica.environment(),
        log_path=None,
        address=join(arguments.host, arguments.port),
        temporary_dir=temporary / "tmp",
        shm_prefix=shm_prefix,
        cores=replica.cores,
    )


def _serve(spec: ProcessSpec) -> int:
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.append(number))
    # The port is free, so that regions under its name are those of a server that was killed.
    remove_regions(spec.shm_prefix)
    process = Process(as_triton(spec))
    process.start()
    try:
        while not asked and not process.exited():
            time.sleep(TICK_S)
        if asked:
            return 0 if stop_all([process], lambda: len(asked) > 1) else 1
        # As a shell puts it: 128 and the signal that ended it.
        return code if (code := process.finish()) >= 0 else 128 - code
    finally:
        process.finish()
        remove_regions(spec.shm_prefix)


def _replica(arguments: argparse.Namespace) -> Replica:
    given = {
        name: getattr(arguments, name) or os.environ.get(f"TRIPTYCH_{name.upper()}") or ""
        for name in ("cores", "device", "engine", "precision")
    }
    text = given.pop("cores")
    cores = parse_cores(text) if text else ()
    # What the environment says of threads stands, where it says something.
    threads = os.environ.get("TRIPTYCH_THREADS") or "0"
    if not threads.isdecimal():
        raise invalid("threads", f"{threads!r} is not a whole number")
    replica = Replica(arguments.stage, cores, int(threads), **given)
    replica.check()
    return replica
