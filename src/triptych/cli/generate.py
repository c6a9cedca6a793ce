"""`triptych generate`: prompts in, PNG files out, with a bar on stderr and paths (or JSON) on stdout."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

from triptych.cli.connection import add_connection_options, connect
from triptych.cli.delivery import add_output_options, deliver
from triptych.cli.outputs import Outputs
from triptych.cli.parameters import add_parameter_options, parameters
from triptych.cli.progress import Progress, say
from triptych.cli.prompts import read_prompts
from triptych.errors import TriptychError
from triptych.sdk import AsyncClient

EPILOG = """\
examples:
  triptych generate "a red circle" --seed 7 -o out.png
  triptych generate "a red circle" --num-images-per-prompt 4 -o "circle-{index}.png"
  triptych generate "a red circle <lora:ink:0.8>"       # as --lora ink:0.8; see `triptych loras`
  triptych generate --prompts-file prompts.txt -o pictures/ --concurrency 4
  echo "a blue star" | triptych generate --prompts-file - --json
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "generate",
        help="make pictures from prompts",
        description="Makes pictures from prompts. Prints the path of each on stdout.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("prompt", nargs="?", help="what the picture shows (quote it)")
    source.add_argument("--prompts-file", metavar="FILE", help="one prompt a line; - reads stdin; # starts a comment")
    add_parameter_options(parser)
    add_output_options(parser)
    parser.add_argument("--concurrency", type=int, default=1, metavar="N", help="prompts at a time (default: 1)")
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Generates every prompt; stops at the first that fails."""
    prompts = read_prompts(arguments.prompt, arguments.prompts_file)
    outputs = Outputs(arguments.output, force=arguments.force)
    asyncio.run(_generate_all(arguments, prompts, outputs))
    return 0


async def _generate_all(arguments: argparse.Namespace, prompts: list[str], outputs: Outputs) -> None:
    jobs = enumerate(prompts)
    failures: list[TriptychError | OSError] = []
    async with connect(AsyncClient, arguments) as client:
        try:
            async with asyncio.TaskGroup() as group:
                for slot in range(min(max(arguments.concurrency, 1), len(prompts))):
                    group.create_task(_work(client, arguments, jobs, outputs, slot))
        except* (TriptychError, OSError) as several:
            failures.extend(several.exceptions)  # type: ignore[arg-type]
    if failures:
        raise failures[0]


async def _work(
    client: AsyncClient,
    arguments: argparse.Namespace,
    jobs: Iterator[tuple[int, str]],
    outputs: Outputs,
    slot: int,
) -> None:
    for index, prompt in jobs:
        with Progress(prompt, slot=slot, hidden=arguments.json or arguments.quiet) as progress:
            try:
                async with aclosing(client.stream(prompt, **parameters(arguments))) as events:
                    async for event in events:
                        progress.show(event)
            except TriptychError:
                if arguments.prompts_file is not None:
                    say(f"triptych: failed at prompt {index + 1}: {prompt}")
                raise
        deliver(arguments, outputs, prompt, index, progress)
