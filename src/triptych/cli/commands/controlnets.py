"""`triptych controlnets`: lists, adds and removes the ControlNets that pictures can be drawn under."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from triptych.cli.actions import add_action, columns, run_action
from triptych.cli.connection import add_connection_options
from triptych.contract.names import checkpoint_name
from triptych.errors import invalid
from triptych.sdk import Checkpoint, Client


def add_parser(subparsers: Any) -> None:
    """Registers the command and its actions."""
    parser = subparsers.add_parser(
        "controlnets",
        help="list, add and remove ControlNets",
        description="The ControlNets of a running server. Without an action: list.",
    )
    add_connection_options(parser)
    parser.set_defaults(run=run_action, action=_list, json=False)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = add_action(actions, "list", _list, "show all of them")
    listing.add_argument("--json", action="store_true", help="a JSON array instead of a table")
    adding = add_action(actions, "add", _add, "have the server check one and take it under a name")
    adding.add_argument("name", metavar="NAME", nargs="?", help="what --control calls it (default: as PATH is called)")
    adding.add_argument("path", metavar="PATH", help=".safetensors, .pth or a diffusers directory the server can read")
    adding.add_argument("--variant", metavar="NAME", help="of a directory's weights, as diffusers calls it: fp16, say")
    removing = add_action(actions, "remove", _remove, "have the server forget one; its files stay")
    removing.add_argument("name", metavar="NAME")


def table(nets: list[Checkpoint]) -> str:
    """The ControlNets as columns, what is wrong with one below its row."""
    first, *rest = columns([("NAME", "FORMAT", "ARCHITECTURE", "PRECISION", "WEIGHTS", "PATH"), *map(_row, nets)])
    lines = [first]
    for line, net in zip(rest, nets, strict=True):
        lines.append(line)
        types = f"types {', '.join(net.union_types)}" if net.union_types else ""
        lines += [f"  {text}" for text in (types, net.error, *net.warnings) if text]
    return "\n".join(lines)


def _row(net: Checkpoint) -> tuple[str, ...]:
    return (net.name, net.format, net.architecture, net.precision, _weights(net), net.path)


def _weights(net: Checkpoint) -> str:
    return f"{net.weights_bytes / 1e6:,.0f} MB"


def _list(client: Client, arguments: argparse.Namespace) -> None:
    nets = _all(client)
    if arguments.json:
        print(json.dumps([asdict(net) for net in nets], indent=2))
    elif nets:
        print(table(nets))
    else:
        print("no ControlNets; add one: triptych controlnets add NAME PATH")


def _add(client: Client, arguments: argparse.Namespace) -> None:
    name = arguments.name or checkpoint_name(Path(arguments.path))
    net = client.register_controlnet(name, arguments.path, variant=arguments.variant)
    print(f"{net.name}: added, {net.architecture}, {_weights(net)} of {net.precision}")


def _remove(client: Client, arguments: argparse.Namespace) -> None:
    if arguments.name not in (names := [net.name for net in _all(client)]):
        raise invalid("name", f"{arguments.name!r} is no ControlNet here; there are: {', '.join(names) or 'none'}")
    client.unregister_checkpoint(arguments.name)
    print(f"{arguments.name}: removed")


def _all(client: Client) -> list[Checkpoint]:
    return [each for each in client.checkpoints() if each.purpose == "controlling"]
