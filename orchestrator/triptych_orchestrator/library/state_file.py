"""What a server knows by name, in a JSON file that outlives it: written whole, and set aside where it is broken.

file = StateFile(state_dir / "checkpoints.json", is_sound)
kept = file.read()
file.write(kept | {"demo": {...}})
"""

from __future__ import annotations

import itertools
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from triptych.errors import FailedPreconditionError
from triptych_orchestrator.library.unwritable import unwritable

logger = logging.getLogger("triptych.state")

# Names and paths: a hundred thousand of them are less.
_LIMIT_BYTES = 64 << 20
_LONGEST_PROBLEM = 300


class StateFile:
    """One JSON object; `is_sound` judges each of its entries by name and value."""

    def __init__(self, path: Path, is_sound: Callable[[str, Any], bool]) -> None:
        self._path = path
        self._is_sound = is_sound

    def read(self) -> dict[str, Any]:
        """The sound entries; {} where there is no file. With anything else in it, it is set aside, and the log says so.

        FailedPreconditionError if it cannot be read at all, or not be moved.
        """
        try:
            content, problem = self._parsed()
            sound = {name: value for name, value in content.items() if self._is_sound(name, value)}
            if unsound := [repr(name) for name in content if name not in sound]:
                problem = f"what it says is not sound of {', '.join(unsound)}"
            if problem:
                self._set_aside(problem[:_LONGEST_PROBLEM], sound)
        except OSError as error:
            problem = error.strerror or str(error)
            raise FailedPreconditionError(
                f"{self._path} cannot be read ({problem}); mend it or move it away"
            ) from error
        return sound

    def write(self, content: Mapping[str, Any]) -> None:
        """Takes the place of what was there, once the disk has it; all is as before where that fails (`unwritable`)."""
        scratch = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("w", encoding="utf-8") as stream:
                json.dump(content, stream, indent=2)
                stream.flush()
                os.fsync(stream.fileno())
            scratch.replace(self._path)
        except OSError as error:
            raise unwritable(f"the server's {self._path.name}", self._path.parent, error) from error

    def was_set_aside(self) -> bool:
        """Whether a broken one lies beside it, which somebody may still want to mend."""
        return any(self._path.parent.glob(f"{self._path.name}.broken-*"))

    def _parsed(self) -> tuple[dict[str, Any], str]:
        """The file's object and no problem, or none and what is wrong."""
        if not self._path.exists():
            return {}, ""
        if not self._path.is_file():
            return {}, "it is not a regular file"
        if self._path.stat().st_size > _LIMIT_BYTES:
            return {}, f"it is larger than {_LIMIT_BYTES} bytes"
        try:
            content = json.loads(self._path.read_bytes())
        except (ValueError, RecursionError) as error:
            return {}, f"it is not readable as JSON: {error}"
        return (content, "") if isinstance(content, dict) else ({}, "it is no JSON object")

    def _set_aside(self, problem: str, sound: Mapping[str, Any]) -> None:
        names = (self._path.with_name(f"{self._path.name}.broken-{number}") for number in itertools.count(1))
        aside = next(name for name in names if not name.exists())
        self._path.rename(aside)
        if sound:
            self.write(sound)
        extra = {"file": str(self._path), "moved_to": str(aside), "problem": problem, "kept": len(sound)}
        logger.error(
            "a state file was broken and is set aside; mend it and move it back to have all again", extra=extra
        )
