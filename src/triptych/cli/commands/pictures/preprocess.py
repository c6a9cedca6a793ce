"""`triptych preprocess`: a picture as a ControlNet would look at it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from triptych.cli.connection import add_connection_options, connect
from triptych.errors import invalid
from triptych.sdk import Client, Preprocessor

EPILOG = """\
examples:
  triptych preprocess canny photo.png -o edges.png
  triptych preprocess canny photo.png --threshold-a 50 --threshold-b 120 -o - | display
  triptych preprocess --list
"""
_NUMBERS = ("processor_res", "threshold_a", "threshold_b")


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "preprocess",
        help="show what a ControlNet would look at",
        description="Prepares a picture as `generate --control` with a preprocessor does, and draws nothing.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("preprocessor", nargs="?", metavar="NAME", help="one of those that --list has")
    add("image", nargs="?", metavar="FILE", help="a picture (PNG, JPEG, WebP, GIF, BMP, TIFF)")
    add("-o", "--output", metavar="FILE", help="where the PNG goes; -: stdout (default: FILE-NAME.png beside FILE)")
    add("--list", action="store_true", help="print what there is, with its parameters, and what it lacks")
    add("--processor-res", type=int, metavar="N", help="pixels of the shorter side that it works at; 0: its own")
    add("--threshold-a", type=float, metavar="X", help="its first number")
    add("--threshold-b", type=float, metavar="X", help="its second number")
    add("--mask-image", metavar="FILE", help="white where the ControlNet is to see nothing, of one that needs it")
    add("--width", type=int, metavar="N", help="pixels that it is brought to, with --height")
    add("--height", type=int, metavar="N", help="likewise")
    add("--resize-mode", metavar="NAME", help="just_resize, crop_and_resize or resize_and_fill")
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the picture and prints its path, or prints the list."""
    with connect(Client, arguments) as client:
        if arguments.list:
            for each in client.preprocessors():
                print(_line(each))
            return 0
        for field in ("preprocessor", "image"):
            if not getattr(arguments, field):
                raise invalid(field, "is missing; name a preprocessor and a picture, or ask for --list")
        names = (*_NUMBERS, "mask_image", "width", "height", "resize_mode")
        fields = {name: getattr(arguments, name) for name in names}
        made = client.preprocess(arguments.preprocessor, arguments.image, **fields)
    for warning in made.warnings:
        print(f"triptych: {warning}", file=sys.stderr)
    _write(made.png, arguments)
    return 0


def _write(png: bytes, arguments: argparse.Namespace) -> None:
    if arguments.output == "-":
        sys.stdout.buffer.write(png)
        return
    source = Path(arguments.image)
    path = Path(arguments.output or source.with_name(f"{source.stem}-{arguments.preprocessor}.png"))
    path.write_bytes(png)
    print(path)


def _line(each: Preprocessor) -> str:
    """Name, parameters with range and default, and what it lacks."""
    parts = [each.name]
    for name in _NUMBERS:
        if parameter := getattr(each, name):
            span = f"{parameter.minimum:g} to {parameter.maximum:g}, default {parameter.default_value:g}"
            parts.append(f"{name} ({parameter.label}: {span})")
    if each.needs_mask:
        parts.append("mask_image")
    return f"{', '.join(parts)}; lacks {each.missing}" if each.missing else ", ".join(parts)
