"""`triptych build`: makes engine artifacts of checkpoints ahead of time, where torch is installed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from triptych.cli.progress import say
from triptych.errors import FailedPreconditionError, invalid


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "build",
        help="build engine artifacts ahead of time",
        description="Builds the engine artifacts that a checkpoint's architecture needs and the cache lacks. "
        "Checkpoints of one architecture share them. Prints the path of each on stdout. "
        "Needs: pip install 'triptych[server,torch]'.",
    )
    parser.add_argument("path", nargs="+", type=Path, metavar="PATH", help="a diffusers-format directory")
    parser.add_argument(
        "--cache-dir",
        type=Path,
        metavar="DIR",
        help="where artifacts are kept (default: $TRIPTYCH_CACHE_DIR, else ~/.cache/triptych)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Builds for every path."""
    for path in arguments.path:
        if not path.is_dir():
            raise invalid("path", f"{path} is not a directory")
    progress = _nothing if arguments.quiet else say
    try:
        _build(arguments.path, arguments.cache_dir, progress)
    except ModuleNotFoundError as error:
        raise FailedPreconditionError(
            f"building needs the module {error.name!r}; install it: pip install 'triptych[server,torch]'"
        ) from error
    return 0


def _build(paths: list[Path], cache_dir: Path | None, progress: Callable[[str], None]) -> None:
    from triptych.embedded.config import StackConfig
    from triptych.engine.build import build_checkpoint

    cache_path = StackConfig({}, cache_dir=cache_dir).cache_path
    for path in paths:
        for artifact in build_checkpoint(path, cache_path, progress):
            print(artifact)


def _nothing(text: str) -> None:
    """Says nothing."""
