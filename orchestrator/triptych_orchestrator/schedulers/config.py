"""Typed reading of a checkpoint's `scheduler_config.json`, with an error that names the key at fault."""

from __future__ import annotations

import math
from collections.abc import Mapping

from triptych.errors import CheckpointInvalidError

CONFIG_FILE = "scheduler/scheduler_config.json"
_LARGEST_FLOAT32 = 3.4e38


def config_invalid(key: str, problem: str) -> CheckpointInvalidError:
    """The error about one key of the scheduler's config."""
    return CheckpointInvalidError(f"{CONFIG_FILE}: {key}: {problem}", file=CONFIG_FILE)


class SchedulerConfig:
    """A scheduler's config as diffusers' `from_config` reads it.

    A solver asks for the keys that its class knows, with its own class's default for a key that is absent;
    what other classes left in the file is never read. `null` counts as absent.
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        defaulted = config.get("_use_default_values")
        absent = defaulted if isinstance(defaulted, list) else []
        self._values = {key: value for key, value in config.items() if value is not None and key not in absent}

    def flag(self, key: str, default: bool) -> bool:
        """A boolean."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise config_invalid(key, f"{value!r} is not true or false")
        return value

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise config_invalid(key, f"{value!r} is not a whole number from {low} to {high}")
        return value

    def number(self, key: str, default: float, low: float = -math.inf, high: float = math.inf) -> float:
        """A number in [low, high]."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise config_invalid(key, f"{value!r} is not a number from {low} to {high}")
        if value != default and not _fits(value):  # diffusers writes an infinite default as it is
            raise config_invalid(key, "is not a finite number")
        return float(value)

    def optional_number(self, key: str, low: float, high: float) -> float | None:
        """A number in [low, high], or nothing."""
        return self.number(key, low, low, high) if key in self._values else None

    def numbers(self, key: str) -> list[float] | None:
        """A list of numbers, or nothing."""
        values = self._values.get(key)
        if values is None:
            return None
        if not isinstance(values, list | tuple) or not all(
            type(value) in (int, float) and _fits(value) for value in values
        ):
            raise config_invalid(key, "not a list of numbers")
        return [float(value) for value in values]

    def choice(self, key: str, default: str, supported: tuple[str, ...]) -> str:
        """One of the names that are supported."""
        value = self._values.get(key, default)
        if value not in supported:
            raise config_invalid(key, f"{value!r} is not supported; supported: {', '.join(supported)}")
        return str(value)

    def refuse(self, *keys: str) -> None:
        """Refuse a switch that is on and that changes the picture in a way not implemented here."""
        for key in keys:
            if self._values.get(key):
                raise config_invalid(key, f"{self._values[key]!r} is not supported")


def _fits(value: float) -> bool:
    """Whether float32 has the number: JSON's integers may have thousands of digits."""
    return abs(value) <= _LARGEST_FLOAT32
