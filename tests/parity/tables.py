"""The record as Markdown tables, and where they stand in docs/."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.parity.matrix import ENGINES, FAMILIES, FORMATS, TASKS
from tests.parity.record import Record

DOCS = Path(__file__).resolve().parents[2] / "docs"
BEGIN, END = "<!-- parity -->\n", "<!-- /parity -->\n"


def by_format(record: Record) -> str:
    """Families by formats, all tasks together."""
    whole = {
        (title, form): {"family": family, "format": form}
        for (family, title), form in itertools.product(FAMILIES.items(), FORMATS)
    }
    return _table(record, ("family", "format"), whole)


def by_task(record: Record) -> str:
    """Tasks by families, all formats together."""
    whole = {
        (title, family_title): {"task": task, "family": family}
        for (task, title), (family, family_title) in itertools.product(TASKS.items(), FAMILIES.items())
    }
    return _table(record, ("task", "family"), whole)


PAGES: Mapping[str, Callable[[Record], str]] = {"families.md": by_format, "tasks.md": by_task}


def with_table(page: str, table: str) -> str:
    """The page's text with another table between its two marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"there is no place for a table: {BEGIN.strip()} and {END.strip()}, each on a line of its own")
    return before + BEGIN + table + END + after


def _table(record: Record, titles: tuple[str, str], whole: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    head = [*titles, *ENGINES]
    lines = [head, ["---"] * len(head), *_lines(record, whole)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _lines(record: Record, whole: Mapping[tuple[str, str], Mapping[str, str]]) -> Iterator[list[str]]:
    """Those of which anything was measured: the largest difference and in how many pictures it was looked for."""
    for titles, names in whole.items():
        cells = [record.cell(**names, engine=engine) for engine in ENGINES]
        if any(cells):
            yield [*titles, *(f"{cell[0]} ({cell[1]})" if cell else "" for cell in cells)]
