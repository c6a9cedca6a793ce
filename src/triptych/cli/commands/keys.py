"""`triptych keys`: who may call a server that is started with `--credentials`."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import Any

from triptych.cli.actions import add_action
from triptych.embedded.folders.places import state_folder
from triptych.keys.entry import Entry
from triptych.keys.file import KeyFile

VARIABLE = "TRIPTYCH_CREDENTIALS"


def add_parser(subparsers: Any) -> None:
    """Registers the command and its actions."""
    parser = subparsers.add_parser(
        "keys",
        help="add, remove and list who may call a server",
        description="The file of credentials that `triptych up --credentials FILE` reads, secrets hashed. Servers that "
        "run see a change within a second. Without an action: list.",
    )
    _file_option(parser)
    parser.set_defaults(run=_run, action=_list)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    add_action(actions, "list", _list, "show the names", _file_option)
    adding = add_action(
        actions, "add", _add, "make a key, shown once, for a new name or in the place of its old one", _file_option
    )
    adding.add_argument("name", metavar="NAME")
    adding.add_argument(
        "--password",
        action="store_true",
        help="ask for a password instead, of standard input where that is no terminal",
    )
    removing = add_action(actions, "remove", _remove, "let a name in no more", _file_option)
    removing.add_argument("name", metavar="NAME")


def _file_option(parser: argparse.ArgumentParser, *, inherited: bool = False) -> None:
    parser.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS if inherited else Path(os.environ.get(VARIABLE) or state_folder() / "credentials"),
        help=f"default: ${VARIABLE}, else credentials in the state folder",
    )


def _run(arguments: argparse.Namespace) -> int:
    arguments.action(KeyFile(arguments.file), arguments)
    return 0


def _list(file: KeyFile, arguments: argparse.Namespace) -> None:
    names = sorted(file.entries()) if file.path.exists() else []
    print("\n".join(names) or f"nobody is in {file.path}; add one: triptych keys add NAME")


def _add(file: KeyFile, arguments: argparse.Namespace) -> None:
    if arguments.password:
        file.put(Entry.with_password(arguments.name, _password()))
        print(f"{arguments.name}: may log in with that password")
    else:
        entry, key = Entry.new(arguments.name)
        file.put(entry)
        print(key)  # alone on standard output, for a script to keep
    print(f"triptych up --credentials {file.path}", file=sys.stderr)


def _remove(file: KeyFile, arguments: argparse.Namespace) -> None:
    file.remove(arguments.name)
    print(f"{arguments.name}: removed")


def _password() -> str:
    return getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
