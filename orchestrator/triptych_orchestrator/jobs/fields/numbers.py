"""A number within its bounds, or an error that names the field and the bounds."""

from __future__ import annotations

import math
from typing import TypeVar

from triptych.errors import invalid

Number = TypeVar("Number", int, float)


def given(value: Number | None, default: Number) -> Number:
    """The value, or the default where it was left open."""
    return default if value is None else value


def within(field: str, value: int, high: int) -> int:
    """A count from 1 to `high`."""
    if not 1 <= value <= high:
        raise invalid(field, f"must be from 1 to {high}, not {value}")
    return value


def real(field: str, value: float, high: float) -> float:
    """A finite number from 0 to `high`."""
    if not math.isfinite(value) or not 0 <= value <= high:
        raise invalid(field, f"must be a number from 0 to {high:g}, not {value}")
    return value
