"""`triptych demo`: the whole of Triptych on this machine, one picture, nothing to set up."""

from __future__ import annotations

import argparse
import time
from typing import Any

import triptych
from triptych.cli.parameters import add_parameter_options, parameters
from triptych.cli.pictures.delivery import add_output_options, deliver, outputs_of
from triptych.cli.pictures.outputs import Outputs
from triptych.cli.progress import Progress, say
from triptych.sdk import Client

PROMPT = "a large blue star on a yellow background"


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "demo",
        help="start everything here, make one picture, stop",
        description="Starts encoder, UNet and VAE, each in its own Triton Inference Server, and the "
        "orchestrator; makes a picture with the small checkpoint that comes with Triptych, at guidance 5; stops "
        "them all. Needs: pip install 'triptych[server]'.",
    )
    parser.add_argument("prompt", nargs="?", default=PROMPT, help="what the picture shows (default: %(default)s)")
    add_parameter_options(parser)
    add_output_options(parser, default="triptych-demo")
    # Small networks overdo the colours at the usual 7.5.
    parser.set_defaults(run=run, guidance_scale=5.0)


def run(arguments: argparse.Namespace) -> int:
    """Starts, generates, stops."""
    outputs = outputs_of(arguments, [arguments.prompt])
    say("starting encoder, unet and vae on Triton, and the orchestrator ...")
    started = time.monotonic()
    with triptych.local() as client:
        say(f"ready after {time.monotonic() - started:.1f} s")
        _make(client, arguments, outputs)
    return 0


def _make(client: Client, arguments: argparse.Namespace, outputs: Outputs) -> None:
    with Progress(arguments.prompt, hidden=arguments.json or arguments.quiet) as progress:
        for event in client.stream(arguments.prompt, **parameters(arguments)):
            progress.show(event)
    deliver(arguments, outputs, arguments.prompt, 0, progress)
