"""The option that says where engine artifacts are kept, and the folder it means."""

from __future__ import annotations

import argparse
from pathlib import Path

from triptych.embedded.config import StackConfig
from triptych.embedded.folders.places import usable
from triptych.errors import invalid


def add_cache_option(parser: argparse.ArgumentParser, *, inherited: bool = False) -> None:
    """Adds --cache-dir; an `inherited` one leaves alone what an outer parser has set."""
    parser.add_argument(
        "--cache-dir",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS if inherited else None,
        help="where artifacts are kept (default: $TRIPTYCH_CACHE_DIR, else ~/.cache/triptych)",
    )


def cache_folder(arguments: argparse.Namespace) -> Path:
    """The folder, absolute; it need not exist, but InvalidArgumentError if it is something else."""
    folder = StackConfig({}, cache_dir=arguments.cache_dir).cache_path
    with usable("--cache-dir", folder, "name another, there or in TRIPTYCH_CACHE_DIR"):
        is_something_else = folder.exists() and not folder.is_dir()
    if is_something_else:
        raise invalid("--cache-dir", f"{folder} is not a directory")
    return folder
