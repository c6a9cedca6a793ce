"""`triptych verify`: pictures made again, and compared with what they are."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from triptych.cli import exit_codes
from triptych.cli.connection import add_connection_options, connect
from triptych.cli.progress import say
from triptych.errors import TriptychError, invalid
from triptych.sdk import Client
from triptych.sdk.reading.verifying import agreement_of, asked_again

EPILOG = """\
examples:
  triptych verify out.png
  triptych verify *.png --file sketch.png --file mask.png    # of those that were made from files
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "verify",
        help="make pictures again, and compare",
        description="Has the server make each picture again from what it says of itself. Prints a line for each; the "
        "exit code is 0 where all pixels agree, and 1 where any differ: then it says how far, and which of the "
        "digests, engines or versions are others by now. See docs/reproducibility.md.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a file that Triptych made")
    parser.add_argument(
        "--file", action="append", default=[], metavar="FILE",
        help="an image or a mask that pictures were made from, found by its content; repeatable",
    )  # fmt: skip
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Verifies one after the other; one that cannot be is reported, and the exit code is the first failure's."""
    files = {sha256(content).hexdigest(): content for content in map(_read, arguments.file)}
    code = exit_codes.OK
    with connect(Client, arguments) as client:
        for name in arguments.pictures:
            try:
                agrees = _verify(client, name, files)
            except TriptychError as error:
                say(f"triptych: {name}: {error.message}")
                code = code or exit_codes.exit_code(error)
            else:
                code = code or (exit_codes.OK if agrees else exit_codes.FAILED)
    return code


def _verify(client: Client, name: str, files: Mapping[str, bytes]) -> bool:
    content = _read(name)
    told = client.request_from(content)
    prompt, parameters = asked_again(told, files)
    found = agreement_of(content, told, client.generate(prompt, **parameters).files)
    if found.is_same_file:
        print(f"{name}: the same file")
        return True
    pixels, of, farthest = found.difference.pixels, found.difference.of, found.difference.farthest
    line = f"{pixels} of {of} pixels differ, by at most {farthest} of 255" if pixels else "the same pixels"
    print(f"{name}: {line}")
    for explanation in found.explanations:
        print(f"  {explanation}")
    return not pixels


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise invalid("picture", f"cannot read {name}: {error.strerror or error}") from error
