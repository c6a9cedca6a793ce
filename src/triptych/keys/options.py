"""The options that all servers share which are called from outside: credentials and TLS."""

from __future__ import annotations

import argparse
from pathlib import Path

from triptych.errors import invalid


def add_door_options(parser: argparse.ArgumentParser) -> None:
    """Adds --credentials, --open-to-anyone, --tls-cert and --tls-key."""
    group = parser.add_argument_group("who may call")
    group.add_argument(
        "--credentials",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="who may call (`triptych keys add NAME` writes it); repeatable; default: whoever reaches it",
    )
    group.add_argument(
        "--open-to-anyone",
        action="store_true",
        help="start on an address that others reach without such a file",
    )
    group.add_argument("--tls-cert", type=Path, metavar="FILE", help="its certificate and those between, PEM")
    group.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key, PEM")


def check_tls(cert: Path | None, key: Path | None) -> None:
    """InvalidArgumentError where one is missing, or is no file that can be read."""
    if (cert is None) != (key is None):
        raise invalid("tls_cert" if key is None else "tls_key", "--tls-cert and --tls-key go together")
    for field, path in (("tls_cert", cert), ("tls_key", key)):
        if path is not None:
            try:
                path.read_bytes()
            except OSError as error:
                raise invalid(field, f"{path} cannot be read: {error.strerror}") from error
