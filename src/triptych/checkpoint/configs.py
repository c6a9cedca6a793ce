"""Reads a checkpoint's JSON files and checks the numbers in them, naming the file and the key that is wrong."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triptych.errors import CheckpointInvalidError

_JSON_LIMIT_BYTES = 16_000_000


def broken(path: Path, problem: str) -> CheckpointInvalidError:
    """The error for one file of a checkpoint."""
    return CheckpointInvalidError(f"{path}: {problem}", file=str(path))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a checkpoint; CheckpointInvalidError if it is missing, huge or no object."""
    try:
        value = json.loads(read_small(path))
    except FileNotFoundError as error:
        raise broken(path, "the file is missing; is this a diffusers-format directory?") from error
    except (OSError, ValueError, RecursionError) as error:
        raise broken(path, f"not readable as JSON: {error}") from error
    if not isinstance(value, dict):
        raise broken(path, "not a JSON object")
    return value


def read_small(path: Path) -> bytes:
    """A file's content; CheckpointInvalidError if it is huge, or a device or pipe, which may never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise broken(path, "not a regular file")
    if status.st_size > _JSON_LIMIT_BYTES:
        raise broken(path, f"larger than {_JSON_LIMIT_BYTES} bytes, which no configuration is")
    return path.read_bytes()


def whole_number(path: Path, config: Mapping[str, Any], key: str, low: int = 1, high: int = 1 << 20) -> int:
    """`config[key]` as an int within [low, high]."""
    value = config.get(key)
    if type(value) is not int or not low <= value <= high:
        raise broken(path, f"{key} must be a whole number from {low} to {high}, not {value!r}")
    return value


def channel_list(path: Path, config: Mapping[str, Any], key: str = "block_out_channels") -> list[int]:
    """`config[key]` as one to eight channel counts."""
    value = config.get(key)
    if (
        not isinstance(value, list)
        or not 1 <= len(value) <= 8
        or not all(type(c) is int and 1 <= c <= 65536 for c in value)
    ):
        raise broken(path, f"{key} must be a list of 1 to 8 channel counts, not {value!r}")
    return value
