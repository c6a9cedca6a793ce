"""`triptych loras`: lists, adds and removes the LoRAs that a server keeps."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from triptych.cli.actions import add_action, columns, run_action
from triptych.cli.connection import add_connection_options
from triptych.sdk import Client, Lora


def add_parser(subparsers: Any) -> None:
    """Registers the command and its actions."""
    parser = subparsers.add_parser(
        "loras",
        help="list, add and remove LoRAs",
        description="The LoRAs of a running server. Without an action: list.",
    )
    add_connection_options(parser)
    parser.set_defaults(run=run_action, action=_list, json=False)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = add_action(actions, "list", _list, "show all of them")
    listing.add_argument("--json", action="store_true", help="a JSON array instead of a table")
    adding = add_action(actions, "add", _add, "send a file to the server, which checks and keeps it")
    adding.add_argument("name", metavar="NAME", help="what --lora and <lora:NAME:0.8> in a prompt call it")
    adding.add_argument("file", metavar="FILE", help="a file on this machine: .safetensors, or .pt, .ckpt, .bin")
    adding.add_argument("--replace", action="store_true", help="NAME may be another file's, which stays as NAME@DIGEST")
    removing = add_action(actions, "remove", _remove, "have the server forget one; requests that use it go on")
    removing.add_argument("name", metavar="NAME")


def table(loras: list[Lora]) -> str:
    """The LoRAs as columns, what is wrong with one below its row."""
    head = ("NAME", "FORMAT", "ALGORITHM", "RANK", "MODULES", "SIZE", "DIGEST")
    first, *rest = columns([head, *map(_row, loras)])
    lines = [first]
    for line, lora in zip(rest, loras, strict=True):
        lines.append(line)
        if lora.error:
            lines.append(f"  {lora.error}")
    return "\n".join(lines)


def _row(lora: Lora) -> tuple[str, ...]:
    size = f"{lora.size_bytes / 1e6:,.1f} MB"
    name, at, version = lora.name.partition("@")
    kinds = ", ".join(lora.algorithms) or "-"
    shown = f"{name}{at}{version[:12]}"
    return (shown, lora.format, kinds, str(lora.rank or "-"), str(lora.modules), size, lora.digest[:12])


def _list(client: Client, arguments: argparse.Namespace) -> None:
    loras = client.loras()
    if arguments.json:
        print(json.dumps([asdict(lora) for lora in loras], indent=2))
    elif loras:
        print(table(loras))
    else:
        print("no LoRAs; add one: triptych loras add NAME FILE")


def _add(client: Client, arguments: argparse.Namespace) -> None:
    lora = client.add_lora(arguments.name, arguments.file, replace=arguments.replace)
    kinds = f" ({', '.join(lora.algorithms)})" if lora.algorithms else ""
    print(f"{lora.name}: added, {lora.modules} modules of rank {lora.rank}{kinds}")


def _remove(client: Client, arguments: argparse.Namespace) -> None:
    client.remove_lora(arguments.name)
    print(f"{arguments.name}: removed")
