"""What an operator decides about the door, and the options that say it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from triptych.keys.exposure import check_exposure
from triptych.keys.options import add_door_options, check_tls


@dataclass(frozen=True)
class DoorSettings:
    """Who is let in, from where, and how much each may bring."""

    credentials: tuple[Path, ...] = ()  # files of those who may call; empty: whoever reaches it
    open_to_anyone: bool = False  # on a public address without credentials
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allowed_hosts: tuple[str, ...] = ()  # names that it is called by, where nobody is asked who they are
    cors_origins: tuple[str, ...] = ()  # other sites whose pages may call
    secret_file: Path | None = None  # of sessions and signed addresses; None: one in the state folder
    metrics: str | None = None  # "host:port" of Prometheus's
    max_body_bytes: int = 64 << 20
    max_bodies_bytes: int = 1 << 30  # of all requests at once
    max_connections: int = 800  # a process may have 1024 files open where nobody says otherwise
    max_pause_s: float = 30.0  # a request's head, or a pause in its body
    max_unread_s: float = 120.0  # an answer that is not taken

    def check(self, host: str) -> None:
        """InvalidArgumentError about what a gateway at this address cannot be started with."""
        known = bool(self.credentials)
        check_exposure("host", host, has_credentials=known, open_to_anyone=self.open_to_anyone)
        check_tls(self.tls_cert, self.tls_key)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds those of `settings_of`."""
    add_door_options(parser)
    default = DoorSettings()
    add = parser.add_argument_group("the door").add_argument
    add("--allow-host", metavar="NAME", action="append", default=[],
        help="a name that browsers call it by, where it asks nobody for credentials; repeatable")  # fmt: skip
    add("--cors-origin", metavar="https://SITE", action="append", default=[],
        help="a site whose pages may call, with keys of their own; repeatable; default: none")  # fmt: skip
    add("--secret-file", metavar="FILE", type=Path,
        help="what sessions and signed addresses are signed with, for several gateways to share; "
        "default: secret in --state-dir")  # fmt: skip
    add("--metrics", metavar="HOST:PORT", help="serve Prometheus metrics here; default: not at all")
    add("--max-body-bytes", type=int, metavar="N", default=default.max_body_bytes,
        help="of one request, but for uploads in chunks; default %(default)s")  # fmt: skip
    add("--max-connections", type=int, metavar="N", default=default.max_connections, help="default %(default)s")


def settings_of(given: argparse.Namespace) -> DoorSettings:
    """What the options say."""
    return DoorSettings(
        credentials=tuple(given.credentials),
        open_to_anyone=given.open_to_anyone,
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        allowed_hosts=tuple(given.allow_host),
        cors_origins=tuple(given.cors_origin),
        secret_file=given.secret_file,
        metrics=given.metrics,
        max_body_bytes=given.max_body_bytes,
        max_connections=given.max_connections,
    )
