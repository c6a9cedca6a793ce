"""The error for one LoRA file: its path, what is wrong, and names cut to a length that a log can bear."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triptych.errors import CheckpointInvalidError, LoraInvalidError

_LONGEST_NAME = 120


def refused(path: Path, problem: str) -> LoraInvalidError:
    """The error about the file at `path`."""
    return LoraInvalidError(f"{path}: {problem}", file=str(path))


def shown(name: str) -> str:
    """A tensor's or module's name, from a stranger, for an error message."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


@contextmanager
def as_lora_errors() -> Iterator[None]:
    """What the readers shared with checkpoints say about a file, said about a LoRA."""
    try:
        yield
    except CheckpointInvalidError as error:
        raise LoraInvalidError(error.message, **error.metadata) from error
