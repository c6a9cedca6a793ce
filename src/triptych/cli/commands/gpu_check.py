"""`triptych gpu-check`: what a GPU does with Triptych, beside diffusers, as a page that grows while it measures."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.cache_folders import cache_folder
from triptych.cli import exit_codes
from triptych.cli.progress import say
from triptych.embedded.folders.places import absolute
from triptych.errors import FailedPreconditionError

if TYPE_CHECKING:
    from triptych.gpu_check import Settings

_DESCRIPTION = """\
Finds the GPUs of this machine, runs the tests that need one (in a clone), and measures whole requests of Triptych with
each engine beside diffusers, eager and compiled, on checkpoints of random weights in real sizes. What is measured is
written to the page at once, so that being stopped loses nothing; what there is no time or no package for is listed
with the reason. The most valuable rows come first. A page that is there already is added to.

exit codes: 0 done, 1 a row or a test failed, 10 there is no GPU"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "gpu-check",
        help="measure this machine's GPU, beside diffusers, and write a page",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("page", nargs="?", type=Path, metavar="PAGE", help="default: docs/gpu.md of the clone, else gpu.md here")
    add("--minutes", type=float, metavar="N", help="after which it has ended (default: 25)")
    add("--device", action="append", metavar="DEVICE", help="repeatable; default: all GPUs. cpu tries it out without")
    add("--only", nargs="+", default=[], metavar="WORD", help="rows with these in their names: sd15 tensorrt 512, say")
    add("--resume", action="store_true", help="leave out what the page has from this machine with these versions")
    add("--models", nargs="+", metavar="NAME", help="default: every family that is served")
    add("--edges", nargs="+", type=int, metavar="PIXELS", help="of square pictures (default: 512 768 1024)")
    add("--steps", type=int, metavar="N", help="of each picture (default: 50)")
    add("--rounds", type=int, metavar="N", help="how often each is made (default: 3)")
    add("--no-tests", dest="tests", action="store_false", help="the table alone")
    add("--wheels", type=Path, metavar="DIR", help="install what is missing from the wheels there, without network")
    add(
        "--folder", type=Path, metavar="DIR",
        help="keeps checkpoints (17 GB), graphs and engines (default: gpu-check in $TRIPTYCH_CACHE_DIR or "
        "~/.cache/triptych)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Checks; says what it does on stderr, and on stdout where the page is."""
    try:
        from triptych.gpu_check import NoGpuError, check
    except ModuleNotFoundError as error:
        extras = "'triptych[server,torch]'"
        remedy = f"pip install {extras}, or without network pip install --no-index --find-links DIR {extras}"
        raise FailedPreconditionError(f"gpu-check needs the module {error.name!r}: {remedy}") from error

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers are stopped in order
    settings = _settings(arguments)
    try:
        failures = check(settings, say)
    except NoGpuError as error:
        say(f"triptych: {error.message}")
        return exit_codes.NO_GPU
    print(settings.page)
    return exit_codes.FAILED if failures else exit_codes.OK


def _settings(arguments: argparse.Namespace) -> Settings:
    from triptych.gpu_check import Settings
    from triptych.gpu_check.clone import find_clone

    clone = find_clone()
    page = arguments.page or (clone / "docs" / "gpu.md" if clone else Path("gpu.md"))
    names = ("minutes", "models", "edges", "steps", "rounds", "wheels")
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    return Settings(
        page=absolute("page", page),
        folder=absolute("folder", arguments.folder or cache_folder() / "gpu-check"),
        devices=arguments.device or (),
        only=arguments.only,
        resume=arguments.resume,
        tests=arguments.tests,
        **given,
    )
