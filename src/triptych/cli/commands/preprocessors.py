"""`triptych preprocessors`: lists, adds and removes the networks that prepare pictures for ControlNets."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from triptych.cli.actions import add_action, columns, run_action
from triptych.cli.connection import add_connection_options
from triptych.errors import invalid
from triptych.sdk import Checkpoint, Client


def add_parser(subparsers: Any) -> None:
    """Registers the command and its actions."""
    parser = subparsers.add_parser(
        "preprocessors",
        help="list, add and remove the networks of preprocessors",
        description="The networks that prepare pictures for ControlNets on a running server. Without an action: list. "
        "`triptych preprocess --list` has all preprocessors, and which of them lack one.",
    )
    add_connection_options(parser)
    parser.set_defaults(run=run_action, action=_list, json=False)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = add_action(actions, "list", _list, "show all of them")
    listing.add_argument("--json", action="store_true", help="a JSON array instead of a table")
    adding = add_action(actions, "add", _add, "have the server check one and take it")
    adding.add_argument("name", metavar="NAME", help="the preprocessor's: depth_midas, say")
    adding.add_argument("path", metavar="FILE", help=".onnx, which the server can read")
    removing = add_action(actions, "remove", _remove, "have the server forget one; its file stays")
    removing.add_argument("name", metavar="NAME")


def table(networks: list[Checkpoint]) -> str:
    """The networks as columns, what is wrong with one below its row."""
    first, *rest = columns([("NAME", "ARCHITECTURE", "PRECISION", "WEIGHTS", "PATH"), *map(_row, networks)])
    lines = [first]
    for line, network in zip(rest, networks, strict=True):
        lines += [line, *(f"  {text}" for text in (network.error, *network.warnings) if text)]
    return "\n".join(lines)


def _row(network: Checkpoint) -> tuple[str, ...]:
    return (network.name, network.architecture, network.precision, _weights(network), network.path)


def _weights(network: Checkpoint) -> str:
    return f"{network.weights_bytes / 1e6:,.0f} MB"


def _list(client: Client, arguments: argparse.Namespace) -> None:
    networks = _all(client)
    if arguments.json:
        print(json.dumps([asdict(network) for network in networks], indent=2))
    elif networks:
        print(table(networks))
    else:
        print("no networks; add one: triptych preprocessors add NAME FILE")


def _add(client: Client, arguments: argparse.Namespace) -> None:
    network = client.register_preprocessor(arguments.name, arguments.path)
    print(f"{network.name}: added, {network.architecture}, {_weights(network)} of {network.precision}")


def _remove(client: Client, arguments: argparse.Namespace) -> None:
    if arguments.name not in (names := [network.name for network in _all(client)]):
        raise invalid("name", f"{arguments.name!r} is no network here; there are: {', '.join(names) or 'none'}")
    client.unregister_checkpoint(arguments.name)
    print(f"{arguments.name}: removed")


def _all(client: Client) -> list[Checkpoint]:
    return [each for each in client.checkpoints() if each.purpose == "preparing"]
