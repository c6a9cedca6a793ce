"""What `triptych build` says while it works: progress and failures on stderr, the artifacts on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.cli import exit_codes
from triptych.cli.progress import say
from triptych.cli.units import readable_size
from triptych.errors import TriptychError

if TYPE_CHECKING:
    from triptych.engine.build import Artifact


class BuildReport:
    """Counts models up to `total`; every model begins, and then is done or has failed."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.total = 0
        self._as_json, self._quiet = as_json, quiet
        self._number = 0
        self._exit_code = exit_codes.OK
        self._path, self._model, self._label = Path(), "", ""
        self._rows: list[dict[str, Any]] = []

    def begin(self, path: Path, model: str) -> Callable[[str], None]:
        """Goes on to the next model; returns what takes messages about it."""
        self._number += 1
        self._path, self._model = path, model
        self._label = f"[{self._number}/{self.total}] {path.absolute().name} {model}"
        return self._say

    def done(self, artifact: Artifact) -> None:
        """Reports the present model's artifact."""
        self._say(_story(artifact))
        if self._as_json:
            self._rows.append(self._row(artifact))
        else:
            print(artifact.path, flush=True)

    def failed(self, path: Path, error: Exception, model: str = "") -> None:
        """Reports a checkpoint that cannot be opened, or a model that cannot be built, on one line; quiet or not."""
        reason = " ".join(str(error).split()) or type(error).__name__
        place = [] if reason.startswith((f"{path}:", f"{path}/")) else [str(path)]
        say("triptych: " + ": ".join([*place, *filter(None, [model]), reason]))
        code = exit_codes.exit_code(error) if isinstance(error, TriptychError) else exit_codes.FAILED
        self._exit_code = self._exit_code or code

    def finish(self) -> int:
        """Prints what is printed at the end; returns the exit code, the first failure's."""
        if self._as_json:
            json.dump(self._rows, sys.stdout, indent=2)
            print()
        return self._exit_code

    def _say(self, text: str) -> None:
        if not self._quiet:
            say(f"{self._label}: {text}")

    def _row(self, artifact: Artifact) -> dict[str, Any]:
        return {
            "checkpoint": str(self._path.absolute()),
            "model": self._model,
            "key": artifact.key,
            "path": str(artifact.path),
            "bytes": artifact.size_bytes,
            "seconds": round(artifact.seconds, 3),
            "state": artifact.origin,
        }


def _story(artifact: Artifact) -> str:
    match artifact.origin:
        case "shipped":
            return "shipped with triptych"
        case "cached":
            return "in the cache"
    verb = "exported" if artifact.path.suffix == ".onnx" else "built"
    return f"{verb} in {artifact.seconds:.1f} s, {readable_size(artifact.size_bytes)}"
