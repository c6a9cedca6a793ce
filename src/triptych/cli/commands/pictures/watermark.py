"""`triptych watermark`: what pictures are marked with, invisibly."""

from __future__ import annotations

import argparse
from typing import Any

from triptych.cli import exit_codes
from triptych.cli.progress import say
from triptych.errors import TriptychError
from triptych.sdk.reading.watermark import read_watermark

EPILOG = """\
examples:
  triptych watermark out.png
  triptych watermark *.png --expect ACME
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "watermark",
        help="read the invisible watermark of pictures",
        description="Reads what a server that was started with --watermark has marked pictures with. Needs no server. "
        "Prints a line for each; the exit code is 1 where one has no watermark, or not the expected one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a file (PNG, JPEG, WebP)")
    parser.add_argument("--expect", metavar="TEXT", help="fail where it is not this")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reads one after the other; one that cannot be is reported, and the exit code is the first failure's."""
    code = exit_codes.OK
    for name in arguments.pictures:
        try:
            found = read_watermark(name)
        except TriptychError as error:
            say(f"triptych: {name}: {error.message}")
            code = code or exit_codes.exit_code(error)
        else:
            print(f"{name}: {found or 'no watermark'}")
            is_good = bool(found) if arguments.expect is None else found == arguments.expect
            code = code or (exit_codes.OK if is_good else exit_codes.FAILED)
    return code
