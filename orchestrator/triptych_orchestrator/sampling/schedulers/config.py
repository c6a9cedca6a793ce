"""Typed reading of a checkpoint's `scheduler_config.json`, with an error that names the key at fault."""

from __future__ import annotations

import math
from collections.abc import Mapping

from triptych.errors import CheckpointInvalidError

CONFIG_FILE = "scheduler/scheduler_config.json"
_LARGEST_FLOAT32 = 3.4e38
_SHOWN_CHARACTERS = 80
# These classes of diffusers write a value of their own over the file's, whatever it is.
_REWRITTEN: Mapping[str, Mapping[str, object]] = {
    "DEISMultistepScheduler": {"algorithm_type": "deis", "solver_type": "logrho"},
    "UniPCMultistepScheduler": {"solver_type": "bh2"},
}


def config_invalid(key: str, problem: str) -> CheckpointInvalidError:
    """The error about one key of the scheduler's config that no scheduler could make sense of."""
    return CheckpointInvalidError(f"{CONFIG_FILE}: {key}: {problem}", file=CONFIG_FILE)


def unsupported(key: str, problem: str) -> CheckpointInvalidError:
    """The error about one key that the scheduler asked for cannot follow; another may be asked for instead."""
    return CheckpointInvalidError(f"{CONFIG_FILE}: {key}: {problem}", file=CONFIG_FILE, field="scheduler")


def stated(config: Mapping[str, object]) -> dict[str, object]:
    """The keys that one class's `from_config` takes over from another's config: what its file states, no defaults."""
    defaulted = config.get("_use_default_values")
    absent = ["_use_default_values", *(defaulted if isinstance(defaulted, list) else [])]
    rewritten = _REWRITTEN.get(str(config.get("_class_name")), {})
    return {key: rewritten.get(key, value) for key, value in config.items() if key not in absent}


class SchedulerConfig:
    """A scheduler's config as diffusers' `from_config` reads it.

    A solver asks for the keys that its class knows, with its own class's default for a key that is absent;
    what other classes left in the file is never read. `null` switches a flag off and otherwise counts as absent.
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        self._values = stated(config)

    def _given(self, key: str, default: object) -> object:
        value = self._values.get(key)
        return default if value is None else value

    def flag(self, key: str, default: bool) -> bool:
        """A boolean."""
        value = self._values.get(key, default)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise config_invalid(key, f"{_shown(value)} is not true or false")
        return value

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        value = self._given(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise config_invalid(key, f"{_shown(value)} is not a whole number from {low} to {high}")
        return value

    def number(self, key: str, default: float, low: float = -math.inf, high: float = math.inf) -> float:
        """A number in [low, high]."""
        value = self._given(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise config_invalid(key, f"{_shown(value)} is not a number from {low} to {high}")
        if value != default and not _fits(value):  # diffusers writes an infinite default as it is
            raise config_invalid(key, "is not a finite number")
        return float(value)

    def optional_number(self, key: str, low: float, high: float) -> float | None:
        """A number in [low, high], or nothing."""
        return None if self._values.get(key) is None else self.number(key, low, low, high)

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
        value = self._given(key, default)
        if value not in supported:
            raise unsupported(key, f"{_shown(value)} is not supported; supported: {', '.join(supported)}")
        return str(value)

    def refuse(self, key: str, *values: object) -> None:
        """Refuse what changes the picture in a way not implemented here: these values, or a switch that is on."""
        value = self._values.get(key)
        if value in values if values else value:
            raise unsupported(key, f"{_shown(value)} is not supported")


def _shown(value: object) -> str:
    """A value of a stranger's file for a message: short, and printable."""
    return type(value).__name__ if isinstance(value, list | dict) else repr(value)[:_SHOWN_CHARACTERS]


def _fits(value: float) -> bool:
    """Whether float32 has the number: JSON's integers may have thousands of digits."""
    return abs(value) <= _LARGEST_FLOAT32
