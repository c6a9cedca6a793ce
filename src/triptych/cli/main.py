"""Entry point of the `triptych` command.

main(["generate", "a red circle", "-o", "out.png"])    # returns the exit code
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from triptych._version import __version__
from triptych.cli import exit_codes
from triptych.cli.commands import (
    build,
    cache,
    checkpoints,
    controlnets,
    demo,
    generate,
    gpu_check,
    health,
    keys,
    loras,
    preprocessors,
    stage,
    up,
    version,
)
from triptych.cli.commands.pictures import preprocess, upscale, verify, watermark
from triptych.errors import TriptychError

DESCRIPTION = """\
Stable Diffusion, split by model stage. Start a server, then ask it for pictures:

  triptych up
  triptych generate "a red circle" --seed 7 -o out.png

or see all of it work at once, nothing to set up:

  triptych demo
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="triptych",
        description=DESCRIPTION,
        epilog=exit_codes.TABLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"triptych {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (
        up,
        generate,
        upscale,
        preprocess,
        verify,
        watermark,
        checkpoints,
        controlnets,
        preprocessors,
        loras,
        build,
        cache,
        demo,
        gpu_check,
        stage,
        health,
        keys,
        version,
    ):
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; failures become one line on stderr and an exit code."""
    try:
        arguments = build_parser().parse_args(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()  # here, so that a closed pipe is met inside this try
        return code
    except SystemExit as leaving:  # argparse's: help, version, usage
        return leaving.code if isinstance(leaving.code, int) else exit_codes.FAILED
    except TriptychError as error:
        return _fail(error.message, exit_codes.exit_code(error))
    except KeyboardInterrupt:
        return _fail("interrupted", exit_codes.INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has had enough, `head` say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.FAILED
    except OSError as error:
        return _fail(str(error), exit_codes.FAILED)


def _fail(message: str, code: int) -> int:
    print(f"triptych: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
