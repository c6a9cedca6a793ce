"""`triptych upscale`: pictures in, larger ones out; nothing is drawn."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from triptych.cli.connection import add_connection_options, connect
from triptych.cli.enlarging import larger
from triptych.cli.failures import Failures
from triptych.cli.pictures.delivery import add_output_options, deliver, outputs_of
from triptych.cli.pictures.outputs import Outputs
from triptych.cli.progress import Progress
from triptych.errors import TriptychError
from triptych.sdk import Client

EPILOG = """\
examples:
  triptych upscale photo.png -o large.png
  triptych upscale *.jpg --scale 1.5 --upscaler bicubic -o larger/
  triptych upscale photo.png --scale 1024x768 -o - | display
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "upscale",
        help="make pictures larger",
        description="Makes pictures larger, without drawing anything: no checkpoint is needed. Prints the path of each "
        "on stdout. Pictures that fail are reported on stderr and the others made.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image", nargs="+", metavar="FILE", help="a picture (PNG, JPEG, WebP, GIF, BMP, TIFF)")
    group = parser.add_argument_group("picture")
    group.add_argument(
        "--scale", type=larger, metavar="SCALE|WxH", help="how many times as large, or 1024x768 say (default: 2)"
    )
    group.add_argument("--upscaler", metavar="NAME", help="nearest, say (default: lanczos)")
    group.add_argument("--image-format", metavar="NAME", help="png, jpeg or webp (default: what -o ends in)")
    group.add_argument("--quality", type=int, metavar="N", help="1 to 100, of a JPEG or a WebP")
    add_output_options(parser, default="{prompt}-large")
    add_connection_options(parser)
    parser.set_defaults(run=run, num_images_per_prompt=1, prompts_file=None)


def run(arguments: argparse.Namespace) -> int:
    """Enlarges one after the other; the exit code is the first failure's."""
    titles = [Path(name).stem for name in arguments.image]
    outputs = outputs_of(arguments, titles)
    failures = Failures(arguments, len(titles))
    with connect(Client, arguments) as client:
        for index, (name, title) in enumerate(zip(arguments.image, titles, strict=True)):
            try:
                _enlarge(client, arguments, outputs, index, name, title)
            except TriptychError as error:
                failures.add(index, name, type(error)(f"{name}: {error.message}", **error.metadata))
    return failures.finish()


def _enlarge(
    client: Client, arguments: argparse.Namespace, outputs: Outputs, index: int, name: str, title: str
) -> None:
    with Progress(name, hidden=arguments.json or arguments.quiet) as progress:
        parameters = {"image_format": arguments.image_format, "quality": arguments.quality}
        upscale = {**(arguments.scale or {}), "upscaler": arguments.upscaler}
        for event in client.stream("", image=name, upscale=upscale, **parameters):
            progress.show(event)
    deliver(arguments, outputs, title, index, progress)
