"""What is written down of the checkpoints for the next run, and whether what a file says can be that."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from triptych.checkpoint.sources.prediction import check_prediction_type
from triptych.contract.engines import parse_engines
from triptych.contract.names import CHECKPOINT_NAME
from triptych.contract.state import CHECKPOINTS_FILE
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.library.entry import Entry, State
from triptych_orchestrator.library.registered import Registered
from triptych_orchestrator.library.state_file import StateFile

_KINDS = {"path": str, "engine": str, "loaded": bool}
# What is not written where it says nothing, so that earlier versions can read the rest.
_MORE_KINDS = dict.fromkeys(("variant", "prediction_type", "vae", "image_encoder"), str)


class KeptCheckpoints:
    """The file in the state folder; what an earlier run knew and nobody has come to yet, saving keeps."""

    def __init__(self, state_dir: Path) -> None:
        self._file = StateFile(state_dir / CHECKPOINTS_FILE, is_sound)
        self._earlier = self._file.read()

    def earlier(self, name: str, path: Path) -> Registered:
        """What an earlier run had the path registered with under the name, all open if it had not."""
        kept = self._earlier.get(name, {})
        return Registered.of(kept) if kept.get("path") == str(path) else Registered()

    def take(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What an earlier run knew, by name, one after the other: from then on it is another's to keep."""
        for name in list(self._earlier):
            yield name, self._earlier.pop(name)

    def save(self, entries: Iterable[Entry]) -> None:
        """Writes down those that are registered for good; an error that names the folder if it cannot be."""
        self._file.write(
            self._earlier
            | {
                entry.name: written(entry.path, entry.registered, loaded=entry.state is State.LOADED)
                for entry in entries
                if not (entry.is_new or entry.is_transient or entry.is_leaving)
            }
        )


def written(path: Path, told: Registered, *, loaded: bool) -> dict[str, Any]:
    """One checkpoint's entry, under its name."""
    more = {key: value for key, value in vars(told).items() if value}
    return {"path": str(path), "engine": "", "loaded": loaded} | more


def is_sound(name: str, kept: Any) -> bool:
    """Whether `written` can have made the entry."""
    if not (CHECKPOINT_NAME.fullmatch(name) and isinstance(kept, dict)):
        return False
    if not all(isinstance(kept.get(key), kind) for key, kind in _KINDS.items()):
        return False
    if not all(isinstance(kept[key], kind) for key, kind in _MORE_KINDS.items() if key in kept):
        return False
    try:
        parse_engines(kept["engine"])
        check_prediction_type(kept.get("prediction_type", ""))
        paths = [kept[key] for key in ("path", "vae", "image_encoder") if key in kept]
        return all(b"\0" not in os.fsencode(path) and Path(path).is_absolute() for path in paths)
    except (InvalidArgumentError, UnicodeEncodeError):
        return False
