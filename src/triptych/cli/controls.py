"""The options of `generate` for ControlNets.

client.generate(prompt, controls=arguments.controls)
"""

from __future__ import annotations

import argparse
from typing import Any

from triptych.sdk.controls import Control

NAMES = ("controls", "guess_mode")


def add_control_options(parser: argparse.ArgumentParser) -> None:
    """Adds --control, which may be repeated, and --guess-mode."""
    add = parser.add_argument_group("ControlNets").add_argument
    add(
        "--control", dest="controls", type=control, action="append", metavar="NAME[/TYPE]=FILE[:SCALE[:START[:END]]]",
        help="one that was added, of a union as which of its types it looks, the picture that it looks at, what its "
        "share is multiplied by (default: 1), and the shares of the steps between which it counts (default: 0 and 1); "
        "repeatable",
    )  # fmt: skip
    add("--guess-mode", action="store_true", default=None, help="they count for the prompt and not for the negative")


def control(text: str) -> Control:
    """From canny=edges.png:0.8 or union/canny=edges.png, say; a file's own name may have colons in it."""
    name, equals, rest = text.partition("=")
    if not (name and equals and rest):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME[/TYPE]=FILE[:SCALE[:START[:END]]]")
    file, *parts = rest.split(":")
    numbers: list[float] = []
    while parts and len(numbers) < 3 and (number := _number(parts[-1])) is not None:
        numbers.insert(0, number)
        parts.pop()
    fields: dict[str, Any] = dict(zip(("conditioning_scale", "guidance_start", "guidance_end"), numbers, strict=False))
    name, _, kind = name.partition("/")
    return Control(name, ":".join([file, *parts]), union_type=kind or None, **fields)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
