"""`triptych generate`: prompts in, pictures out, with a bar on stderr and paths (or JSON) on stdout."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Generator
from contextlib import aclosing
from typing import Any

from triptych.cli.connection import add_connection_options, connect
from triptych.cli.failures import Failures
from triptych.cli.parameters import add_parameter_options, parameters
from triptych.cli.pictures.again import Again, read_again
from triptych.cli.pictures.delivery import add_output_options, deliver, outputs_of
from triptych.cli.pictures.outputs import Outputs
from triptych.cli.pictures.prompts import read_prompts
from triptych.cli.progress import Progress
from triptych.errors import TriptychError, UnavailableError
from triptych.sdk import AsyncClient, GenerateParameters, Result

EPILOG = """\
examples:
  triptych generate "a red circle" --seed 7 -o out.png
  triptych generate "a red circle" -o - | display
  triptych generate "a red circle" --num-images-per-prompt 4 -o "circle-{index}.png"
  triptych generate "a red circle <lora:ink:0.8>"       # as --lora ink:0.8; see `triptych loras`
  triptych generate --prompts-file prompts.txt -o pictures/ --concurrency 4
  triptych generate --from out.png                      # the same picture again; see `triptych verify`
  echo "a blue star" | triptych generate --prompts-file - --json
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "generate",
        help="make pictures from prompts",
        description="Makes pictures from prompts. Prints the path of each on stdout. Of several prompts, those that "
        "fail are reported on stderr and the others made; the exit code is the first failed one's. When the server is "
        "gone, no further one is asked for.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("prompt", nargs="?", help="what the picture shows (quote it)")
    source.add_argument(
        "--from",
        dest="from_picture",
        metavar="FILE",
        help="as this picture was made, of Triptych's, A1111's or ComfyUI's; options change what they say",
    )
    source.add_argument("--prompts-file", metavar="FILE", help="one prompt a line; - reads stdin; # starts a comment")
    add_parameter_options(parser)
    add_output_options(parser)
    parser.add_argument("--concurrency", type=int, default=1, metavar="N", help="prompts at a time (default: 1)")
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Generates every prompt; one that fails is reported and the others are made. The exit code is the first's."""
    again = read_again(arguments)
    prompts = [again.prompt] if again else read_prompts(arguments.prompt, arguments.prompts_file)
    outputs = outputs_of(arguments, prompts)
    again = again and again.in_format(arguments.image_format)
    failures = Failures(arguments, len(prompts))
    asyncio.run(_generate_all(arguments, again, prompts, outputs, failures))
    return failures.finish()


async def _generate_all(
    arguments: argparse.Namespace, again: Again | None, prompts: list[str], outputs: Outputs, failures: Failures
) -> None:
    jobs = (job for job in enumerate(prompts))
    ends: list[OSError] = []
    _stay_awake(asyncio.get_running_loop())
    async with connect(AsyncClient, arguments) as client:
        try:
            async with asyncio.TaskGroup() as group:
                for slot in range(min(max(arguments.concurrency, 1), len(prompts))):
                    group.create_task(_work(client, arguments, again, jobs, outputs, failures, slot))
        except* OSError as several:  # a full disk, say: no later picture would fit either
            ends.extend(several.exceptions)  # type: ignore[arg-type]
    if ends:
        raise ends[0]


def _stay_awake(loop: asyncio.AbstractEventLoop) -> None:
    """Has Ctrl-C heard: a signal does not wake the loop if it comes just before that waits, or to another thread."""
    loop.call_later(0.2, _stay_awake, loop)


async def _work(
    client: AsyncClient,
    arguments: argparse.Namespace,
    again: Again | None,
    jobs: Generator[tuple[int, str], None, None],
    outputs: Outputs,
    failures: Failures,
    slot: int,
) -> None:
    for index, prompt in jobs:
        with Progress(prompt, slot=slot, hidden=arguments.json or arguments.quiet) as progress:
            try:
                await _follow(client, again.parameters if again else parameters(arguments), prompt, progress)
            except TriptychError as error:
                failures.add(index, prompt, error)
                if isinstance(error, UnavailableError):
                    jobs.close()  # every later one would fail alike
                continue
        if again and again.index is not None:
            progress.keep(again.index)
        deliver(arguments, outputs, prompt, index, progress)


async def _follow(client: AsyncClient, wanted: GenerateParameters, prompt: str, progress: Progress) -> Result:
    async with aclosing(client.stream(prompt, **wanted)) as events:
        async for event in events:
            progress.show(event)
    return progress.result
