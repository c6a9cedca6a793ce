"""What `make parity` found, in docs/parity.json, so that one task's pictures can be drawn again without the others'.

record = Record.read(); record.replace("inpaint", found); record.write()
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from tests.parity.matrix import FAMILIES, PARAMETERS, Case

PATH = Path(__file__).resolve().parents[2] / "docs" / "parity.json"


@dataclass(frozen=True)
class Row:
    """The largest difference of any pixel, of 255, in so many pictures or batches of them."""

    task: str
    family: str
    format: str
    engine: str
    difference: int
    pictures: int


def rows_of(found: Mapping[Case, int]) -> list[Row]:
    """The cases' differences, put together by all that a row names."""
    cells: dict[tuple[str, str, str, str], list[int]] = {}
    for case, difference in found.items():
        cells.setdefault((case.task, case.family, case.format, case.engine), []).append(difference)
    return [Row(*names, max(cell), len(cell)) for names, cell in cells.items()]


class Record:
    """The rows of all tasks that the matrix has."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = [row for row in rows if row.task in PARAMETERS and row.family in FAMILIES]

    @classmethod
    def read(cls) -> Self:
        """As it was last written."""
        return cls(Row(**row) for row in json.loads(PATH.read_text())) if PATH.exists() else cls(())

    def replace(self, task: str, found: Mapping[Case, int]) -> None:
        """Puts these in the place of what was known of the task."""
        self._rows = [row for row in self._rows if row.task != task] + rows_of(found)

    def write(self) -> None:
        """A line for each row, in an order of its own, so that two changes of unlike tasks merge."""
        lines = sorted(json.dumps(asdict(row)) for row in self._rows)
        PATH.write_text("[\n" + ",\n".join(lines) + "\n]\n")

    def cell(self, **names: str) -> tuple[int, int] | None:
        """The largest difference, and the number of pictures, in all rows of these names; None where there are none."""
        rows = [row for row in self._rows if all(getattr(row, name) == value for name, value in names.items())]
        return (max(row.difference for row in rows), sum(row.pictures for row in rows)) if rows else None
