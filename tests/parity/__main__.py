"""`make parity`: the cases against diffusers, and the tables of the largest differences in docs/.

`python -m tests.parity --task inpaint` draws one task's pictures again and keeps what is known of the others.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import triptych
from tests.conftest import CACHE, make_checkpoints, register_torch
from tests.parity.matrix import PARAMETERS, Case, threewise
from tests.parity.oracle import TOLERANCE, difference
from tests.parity.record import Record
from tests.parity.sources import Sources
from tests.parity.tables import DOCS, PAGES, with_table
from triptych.embedded import Stack, StackConfig


def main() -> int:
    """Measures, prints and writes the tables; exit code 1 if anything is too far off."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("--task", action="append", choices=PARAMETERS, help="this one alone (again for others as well)")
    tasks = parser.parse_args().task or list(PARAMETERS)
    largest = 0
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = make_checkpoints(Path(folder) / "checkpoints")
        config = StackConfig(checkpoints, run_dir=Path(folder) / "run", cache_dir=CACHE, startup_timeout_s=900)
        with Stack(config) as stack, triptych.Client(stack.address) as client:
            register_torch(client, checkpoints)
            sources = Sources(client, checkpoints, Path(folder) / "files")
            for task in tasks:
                found = {}
                for case in counted(task, sorted(threewise(task), key=lambda case: case.checkpoint)):
                    sources.let_go_of_others(case)
                    found[case] = difference(case, client, sources.folder(case), sources.others(case))
                keep(task, found)
                largest = max(largest, *found.values())
    for page in PAGES:
        print(f"docs/{page}:\n\n{PAGES[page](Record.read())}")
    return int(largest > TOLERANCE)


def keep(task: str, found: dict[Case, int]) -> None:
    """Writes a task's differences down at once: a run that is ended later has not been for nothing."""
    for case, largest in found.items():
        if largest > TOLERANCE:
            print(f"{case.name}: {largest} of 255 off", file=sys.stderr)
    record = Record.read()
    record.replace(task, found)
    record.write()
    for page, table in PAGES.items():
        path = DOCS / page
        path.write_text(with_table(path.read_text(), table(record)))


def counted(task: str, cases: list[Case]) -> Iterable[Case]:
    """The cases, with a line now and then of how many are done."""
    for number, case in enumerate(cases, 1):
        yield case
        if number % 50 == 0 or number == len(cases):
            print(f"{task}: {number} of {len(cases)} compared", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
