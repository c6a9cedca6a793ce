"""`triptych health`: whether a server answers and serves, for health checks and scripts that wait."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from triptych.embedded.processes.probe import GATEWAY_LISTENS, ORCHESTRATOR_HEALTHY, TRITON_LIVE, is_ready
from triptych.errors import UnavailableError
from triptych.sdk.channel import DEFAULT_ADDRESS


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "health",
        help="ask a server whether it serves",
        description="Exit code 0 when the server answers and serves, 4 when not. The orchestrator serves once every "
        "checkpoint of its command line is loaded; a stage is live before it holds any.",
    )
    default = os.environ.get("TRIPTYCH_ADDRESS") or DEFAULT_ADDRESS
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        default=default,
        help=f"or any other gRPC target (default: $TRIPTYCH_ADDRESS, else {DEFAULT_ADDRESS})",
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--stage", action="store_true", help="the server is a stage's Triton, not the orchestrator")
    other.add_argument("--gateway", action="store_true", help="the server is a gateway: whether it listens")
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="ask over TLS, trusting this authority (PEM)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Silent when all is well."""
    method = TRITON_LIVE if arguments.stage else GATEWAY_LISTENS if arguments.gateway else ORCHESTRATOR_HEALTHY
    if not is_ready(arguments.address, method, arguments.tls_ca and arguments.tls_ca.read_bytes()):
        raise UnavailableError(f"{arguments.address} does not serve")
    return 0
