"""Opens the LoRA files that a stage is told to merge, each held against its digest before it is first read."""

from __future__ import annotations

from pathlib import Path

from triptych.contract import LoraWeight
from triptych.contract.paths import path_from_text
from triptych.errors import LoraBrokenError
from triptych.lora import LoraFile, has_digest

# The state of a file when it was last read whole; the next is read again if any of it has changed.
_State = tuple[int, int, int]
_MOST_CHECKED = 10_000


class LoraFiles:
    """Remembers which files were found to be what their digests say. For one thread's use."""

    def __init__(self) -> None:
        self._checked: dict[str, _State] = {}

    def open(self, lora: LoraWeight) -> LoraFile:
        """The file's header; LoraBrokenError if it is gone, or not what the orchestrator took in."""
        path = path_from_text(lora.path)
        try:
            state = _state(path)
            if self._checked.get(lora.path) != state:
                if not has_digest(path, lora.digest):
                    raise _broken(lora, "is not what its digest says")
                self._note(lora.path, state)
        except OSError as error:
            raise _broken(lora, f"cannot be read: {error.strerror or error}") from error
        return LoraFile.open(path)

    def _note(self, path: str, state: _State) -> None:
        if len(self._checked) >= _MOST_CHECKED:
            self._checked.clear()
        self._checked[path] = state


def _state(path: Path) -> _State:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _broken(lora: LoraWeight, problem: str) -> LoraBrokenError:
    return LoraBrokenError(f"{lora.path} {problem}", digest=lora.digest)
