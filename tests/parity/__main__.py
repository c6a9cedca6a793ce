"""`make parity`: the cases against diffusers, and docs/families.md's table of the largest differences."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import triptych
from tests.conftest import CACHE, make_checkpoints, register_torch
from tests.parity.matrix import ENGINES, FAMILIES, FORMATS, PARAMETERS, TASKS, Case, threewise
from tests.parity.oracle import TOLERANCE, difference
from tests.parity.sources import Sources
from triptych.embedded import Stack, StackConfig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "families.md"
BEGIN, END = "<!-- parity -->\n", "<!-- /parity -->\n"

# By family, format, task and engine.
Differences = dict[tuple[str, str, str, str], list[int]]


def main() -> int:
    """Measures, prints and writes the table; exit code 1 if anything is too far off."""
    found: Differences = {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = make_checkpoints(Path(folder) / "checkpoints")
        config = StackConfig(checkpoints, run_dir=Path(folder) / "run", cache_dir=CACHE, startup_timeout_s=900)
        with Stack(config) as stack, triptych.Client(stack.address) as client:
            register_torch(client, checkpoints)
            sources = Sources(client, checkpoints, Path(folder) / "files")
            for case in measured(case for task in PARAMETERS for case in threewise(task)):
                cell = found.setdefault((case.family, case.format, case.task, case.engine), [])
                cell.append(difference(case, client, sources.folder(case), checkpoints))
    table = "\n".join(rows(found)) + "\n"
    print(table)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table + END + rest.partition(END)[2])
    return int(max(map(max, found.values())) > TOLERANCE)


def measured(cases: Iterable[Case]) -> Iterable[Case]:
    """The cases, with a line now and then of how many are done."""
    for number, case in enumerate(cases, 1):
        yield case
        if number % 100 == 0:
            print(f"{number} pictures compared", file=sys.stderr, flush=True)


def rows(found: Differences) -> list[str]:
    """A Markdown table: families by tasks and engines, the largest difference and how many pictures it was found in."""
    columns = [(task, engine) for task in PARAMETERS for engine in ENGINES]
    head = ["family", "format", *(f"{TASKS[task]}, {engine}" for task, engine in columns)]
    lines = [head, ["---"] * len(head)]
    for (family, title), form in itertools.product(FAMILIES.items(), FORMATS):
        cells = [found.get((family, form, *column), []) for column in columns]
        if any(cells):
            lines.append([title, form, *(f"{max(cell)} ({len(cell)})" if cell else "" for cell in cells)])
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    sys.exit(main())
