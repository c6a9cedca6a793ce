"""Tables on the terminal and judgements against a target."""

from __future__ import annotations

from collections.abc import Sequence


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


def print_judgement(what: str, value: float, target: float, unit: str = "") -> bool:
    """One line that says whether the target, an upper bound, is met."""
    met = value <= target
    print(f"{what}: {value:.2f}{unit}, target at most {target:.2f}{unit}: {'met' if met else 'MISSED'}")
    return met
