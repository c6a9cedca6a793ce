"""Tables on the terminal and judgements against a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, the first to the left, the others to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells).rstrip())


def print_seconds(seconds: Mapping[str, Sequence[float]], digits: int = 3) -> None:
    """A row for each side: its median, least and greatest."""
    print_table(
        ("seconds", "median", "least", "greatest"),
        [
            (name, *(f"{value:.{digits}f}" for value in (median(values), min(values), max(values))))
            for name, values in seconds.items()
        ],
    )


def print_judgement(what: str, value: float, target: float, unit: str = "") -> bool:
    """One line that says whether the target, an upper bound, is met."""
    met = value <= target
    print(f"{what}: {value:.2f}{unit}, target at most {target:.2f}{unit}: {'met' if met else 'MISSED'}")
    return met
