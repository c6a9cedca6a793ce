"""Stands in for a stage or the orchestrator: a gRPC server that says "ready" to whatever it is asked."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from triptych.embedded.commands import Commands
from triptych.embedded.processes.probe import YES


class StandIns(Commands):
    """Runs this file in place of every server; `extra` goes to the orchestrator's."""

    def __init__(self, *extra: str) -> None:
        super().__init__()
        self.extra = extra

    def prepare(self, folder: Path) -> None:
        """Stand-ins need no files."""

    def stage(
        self, folder: Path, grpc_port: int, metrics_port: int, shm_prefix: str
    ) -> tuple[tuple[str, ...], Mapping[str, str]]:
        return (sys.executable, __file__, "--listen", f"127.0.0.1:{grpc_port}"), os.environ

    def orchestrator(self) -> tuple[str, ...]:
        return (sys.executable, __file__, *self.extra)


class _Yes(grpc.GenericRpcHandler):  # type: ignore[misc]
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: YES)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--die")
    parser.add_argument("--mute", action="store_true")
    args, rest = parser.parse_known_args()
    if args.die:
        sys.stderr.write(f"{args.die}\n")
        return 3
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    sys.stderr.write(f"{' '.join(rest)} stage={os.environ['TRIPTYCH_STAGE']}\n")
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    if not args.mute:
        server.add_generic_rpc_handlers([_Yes()])
    server.add_insecure_port(args.listen)
    server.start()
    while not asked.wait(0.1):
        pass
    server.stop(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
