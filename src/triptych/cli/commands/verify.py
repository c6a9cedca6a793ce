"""`triptych verify`: pictures made again, and compared with what they are."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from triptych.cli import exit_codes
from triptych.cli.connection import add_connection_options, connect
from triptych.cli.pictures.again import again_of
from triptych.cli.pictures.comparing import difference, unlike
from triptych.cli.progress import say
from triptych.errors import TriptychError, invalid
from triptych.sdk import Client, PictureRequest
from triptych.sdk.reading.settling import read_request

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
    if told.origin != "triptych":
        raise invalid("picture", "was not made by Triptych, or its request was taken out of it")
    again = again_of(told, told.parameters | _brought(told, files))
    result = client.generate(again.prompt, **again.parameters)
    if told.index >= len(result.files):
        raise invalid("picture", "is damaged: its request makes fewer pictures than it counts")
    made = result.files[told.index]
    if made == content:
        print(f"{name}: the same file")
        return True
    found = difference(made, content)
    line = "the same pixels" if not found.pixels else f"{found.pixels} of {found.of} pixels differ, by at most "
    print(f"{name}: {line}{f'{found.farthest} of 255' if found.pixels else ''}")
    _explain(told, _renamed(read_request(content), told), read_request(made).made_of)
    return not found.pixels


def _explain(told: PictureRequest, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """What is otherwise here, or was made of something else."""
    said = [line for line in told.left_out if line.partition(":")[0] not in told.files]
    for line in [*said, *unlike(then, now)]:
        print(f"  {line}")


def _renamed(raw: PictureRequest, told: PictureRequest) -> dict[str, Any]:
    """What it was made of, checkpoints by the names that they have here."""
    fields = ("checkpoint", "refiner", "vae")
    names = {raw.parameters.get(field): str(told.parameters.get(field)) for field in fields}
    made_of = dict(raw.made_of)
    for part, split in (("checkpoints", ""), ("models", ".")):
        if isinstance(known := made_of.get(part), dict):
            made_of[part] = {_name(name, names, split): value for name, value in known.items()}
    return made_of


def _name(name: str, names: Mapping[Any, str], split: str) -> str:
    """A checkpoint's, or a model's, whose own follows behind the last point."""
    checkpoint, point, model = name.rpartition(split) if split else (name, "", "")
    return f"{names.get(checkpoint, checkpoint)}{point}{model}"


def _brought(told: PictureRequest, files: Mapping[str, bytes]) -> dict[str, list[bytes]]:
    """The files that it was made from, of those that were named."""
    for parameter, digests in told.files.items():
        if missing := [digest for digest in digests if digest not in files]:
            raise invalid(parameter, f"name the file of SHA-256 {missing[0][:12]}... by --file: no picture holds it")
    return {parameter: [files[digest] for digest in digests] for parameter, digests in told.files.items()}


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise invalid("picture", f"cannot read {name}: {error.strerror or error}") from error
