"""What an operator says of A1111's API, and its options on the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class A1111Settings:
    """Of the pictures that `save_images` asks to keep."""

    outputs_dir: Path | None = None  # None: in the state folder
    outputs_pattern: str = "[seed]"  # of their names, after the number


def add_a1111_options(parser: argparse.ArgumentParser) -> None:
    """For `a1111_settings_of`."""
    add = parser.add_argument
    add("--outputs-dir", type=Path, metavar="DIR", help="where save_images keeps pictures; default: STATE_DIR/outputs")
    add(
        "--outputs-pattern", metavar="PATTERN", default=A1111Settings.outputs_pattern,
        help="of their names after a number, of [seed], [prompt], [model_name], [sampler], [steps], [cfg], [width] and "
        "[height]; default %(default)s",
    )  # fmt: skip


def a1111_settings_of(given: argparse.Namespace) -> A1111Settings:
    """What the command line says."""
    return A1111Settings(given.outputs_dir, given.outputs_pattern)
