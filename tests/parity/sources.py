"""What each case is drawn from: the session's directories, or single files, made and served when first needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import triptych
from tests.parity.matrix import Case
from tests.single_files import Pair, save_pair


class Sources:
    """`checkpoints` are served by their names; single files are made in `root`."""

    def __init__(self, client: triptych.Client, checkpoints: Mapping[str, Path], root: Path) -> None:
        self._client, self._checkpoints, self._root = client, checkpoints, root
        self._pairs: dict[str, Pair] = {}
        self._served: set[str] = set()

    def folder(self, case: Case) -> Path:
        """The case's checkpoint as diffusers reads it; ours is served from then on, by `case.checkpoint`."""
        if case.format == "directory":
            return self._checkpoints[case.family]
        if case.family not in self._pairs:
            self._pairs[case.family] = save_pair(self._root, case.family)
        pair = self._pairs[case.family]
        if case.checkpoint not in self._served:
            self._client.register_checkpoint(case.checkpoint, pair.file, engine=case.engine, load=True)
            self._served.add(case.checkpoint)
        return pair.folder
