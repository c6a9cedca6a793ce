"""The options that say which server a command talks to, and the client they make.

with connect(Client, arguments) as client: ...
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TypeVar

import grpc

from triptych.sdk import AsyncClient, Client
from triptych.sdk.channel import DEFAULT_ADDRESS

AnyClient = TypeVar("AnyClient", Client, AsyncClient)


def add_connection_options(parser: argparse.ArgumentParser, *, inherited: bool = False) -> None:
    """Adds --address, --api-key, --tls-ca and --timeout; `inherited` ones leave alone what an outer parser has set."""
    group = parser.add_argument_group("server")
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        default=argparse.SUPPRESS if inherited else os.environ.get("TRIPTYCH_ADDRESS") or DEFAULT_ADDRESS,
        help=f"or any other gRPC target, unix:PATH say (default: $TRIPTYCH_ADDRESS, else {DEFAULT_ADDRESS})",
    )
    group.add_argument(
        "--api-key",
        metavar="KEY",
        default=argparse.SUPPRESS if inherited else os.environ.get("TRIPTYCH_API_KEY", ""),
        help="for a server that wants one (default: $TRIPTYCH_API_KEY, which other users of the machine cannot see)",
    )
    group.add_argument(
        "--tls-ca",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS if inherited else None,
        help="connect with TLS, trusting this certificate authority (PEM)",
    )
    group.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        default=argparse.SUPPRESS if inherited else None,
        help="give up on a request after this long (default: never)",
    )


def connect(kind: type[AnyClient], arguments: argparse.Namespace) -> AnyClient:
    """A client of the server that the options name."""
    credentials = None
    if arguments.tls_ca is not None:
        credentials = grpc.ssl_channel_credentials(arguments.tls_ca.read_bytes())
    return kind(arguments.address, credentials=credentials, api_key=arguments.api_key, timeout_s=arguments.timeout)
