"""Prints what a package depends on, one requirement a line, for a layer that outlives changes of the source.

python dependencies.py pyproject.toml server,torch >requirements.txt
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """The dependencies, then those of each extra; KeyError names an extra that there is not."""
    project = tomllib.loads(pyproject.read_text())["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *_of(optional, extras)]


def _of(optional: dict[str, list[str]], extras: list[str]) -> Iterator[str]:
    for extra in extras:
        for line in optional[extra]:
            if line.startswith("triptych["):  # this package with other extras
                yield from _of(optional, line.removeprefix("triptych[").partition("]")[0].split(","))
            else:
                yield line


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(Path(sys.argv[1]), sys.argv[2].split(","))) + "\n")
