"""Commands with actions below them, as `triptych checkpoints add`, and the tables that such actions print."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from triptych.cli.connection import add_connection_options, connect
from triptych.sdk import Client

Action = Callable[[Client, argparse.Namespace], None]


class Options(Protocol):
    """Adds options to a parser; `inherited` ones leave alone what an outer parser has set."""

    def __call__(self, parser: argparse.ArgumentParser, *, inherited: bool = False) -> None:
        """Adds them."""


def add_action(
    actions: Any, name: str, action: Callable[..., object], what: str, add_options: Options = add_connection_options
) -> argparse.ArgumentParser:
    """Registers one action; `what` is its help text, `add_options` adds what its command takes too."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    add_options(parser, inherited=True)
    parser.set_defaults(action=action)
    return parser


def run_action(arguments: argparse.Namespace) -> int:
    """Runs the chosen action of a command that works on a running server."""
    action: Action = arguments.action
    with connect(Client, arguments) as client:
        action(client, arguments)
    return 0


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows as lines, each cell as wide as its column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
