"""Sets of CPU cores as text: "0-3,8"."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from triptych.errors import invalid

_PART = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def parse_cores(text: str) -> tuple[int, ...]:
    """The cores in ascending order; InvalidArgumentError for what is no such set, or names one that cannot be had."""
    cores: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise invalid("cores", f'{text!r} is no set of cores; such a set is "0" or "0-3,8"')
        cores.update(range(first, last + 1))
    usable = os.sched_getaffinity(0)
    if beyond := cores - usable:
        raise invalid("cores", f"{format_cores(beyond)} cannot be had: this process may use {format_cores(usable)}")
    return tuple(sorted(cores))


def format_cores(cores: Collection[int]) -> str:
    """The shortest text of a set of cores."""
    runs: list[list[int]] = []
    for core in sorted(cores):
        if runs and core == runs[-1][-1] + 1:
            runs[-1].append(core)
        else:
            runs.append([core])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
