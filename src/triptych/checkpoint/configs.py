"""Reads a checkpoint's JSON files and checks the numbers in them, naming the file and the key that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triptych.checkpoint.json_text import parse_json
from triptych.checkpoint.opening import open_file, read_whole
from triptych.checkpoint.recognition import ENOUGH_BYTES, recognized
from triptych.errors import CheckpointInvalidError

_JSON_LIMIT_BYTES = 16_000_000
_LONGEST_PROBLEM = 800


def broken(path: Path, problem: str) -> CheckpointInvalidError:
    """The error for one file of a checkpoint, cut to a length that a list of checkpoints can bear."""
    shown = problem if len(problem) <= _LONGEST_PROBLEM else f"{problem[:_LONGEST_PROBLEM]}..."
    return CheckpointInvalidError(f"{path}: {shown}", file=str(path))


def read_json(path: Path, root: Path | None = None) -> dict[str, Any]:
    """A JSON object from a file of a checkpoint; CheckpointInvalidError if it is missing, huge or no object."""
    try:
        return parse_object(path, read_small(path, root))
    except FileNotFoundError as error:
        raise broken(path, "the file is missing; is this a diffusers-format directory?") from error
    except (OSError, ValueError) as error:
        raise broken(path, f"cannot be read: {error}") from error


def parse_object(path: Path, content: bytes) -> dict[str, Any]:
    """The JSON object that is the content of the file."""
    try:
        value = parse_json(content)
    except ValueError as error:
        raise broken(path, recognized(content[:ENOUGH_BYTES]) or f"not readable as JSON: {error}") from error
    if not isinstance(value, dict):
        raise broken(path, "not a JSON object")
    return value


def read_small(path: Path, root: Path | None = None) -> bytes:
    """A file's content; CheckpointInvalidError if it is huge, or none that may be opened; see `open_file`."""
    with open_file(path, root) as stream:
        content = read_whole(stream, _JSON_LIMIT_BYTES)
    if content is None:
        raise broken(path, f"larger than {_JSON_LIMIT_BYTES} bytes, which no configuration is")
    return content


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
