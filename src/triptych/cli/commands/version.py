"""`triptych version`: this installation's version, and a running server's."""

from __future__ import annotations

import argparse
import platform
from typing import Any

import grpc

from triptych._version import __version__
from triptych.cli.connection import add_connection_options, connect
from triptych.sdk import Client


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "version",
        help="show versions",
        description="Shows this installation's version; with --server also a running server's.",
    )
    parser.add_argument("--server", action="store_true", help="ask the server as well")
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one line per fact."""
    print(f"triptych {__version__}")
    print(f"python {platform.python_version()}, grpcio {grpc.__version__}")
    if arguments.server:
        with connect(Client, arguments) as client:
            info = client.server_info()
        print(f"server {info.version} at {arguments.address}")
        print(f"engines: {', '.join(info.engines)}")
        print(f"schedulers: {', '.join(info.schedulers)}")
        print(f"pictures go through: {', '.join(info.hooks) or 'nothing'}")
        for replica in info.replicas:
            state = "ready" if replica.ready else "not ready"
            print(f"{replica.name}: {replica.stage} at {replica.address}, {state}")
    return 0
