"""One model without a checkpoint around it, as diffusers saves it: a folder with `config.json` and weights."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from triptych.checkpoint.configs import read_json
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import OnePart, Told
from triptych.checkpoint.sources.folder import INDEX
from triptych.checkpoint.weights import check_variant, read_weights

_CONFIG = "config.json"


class OneFolder(OnePart):
    """The directory at `path`, which holds a model of `class_name`, diffusers' name, or of one of `other_names`."""

    format = "diffusers"
    class_name: ClassVar[str]
    other_names: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, path: Path, variant: str = "") -> None:
        self.path = path
        self._variant = variant
        self.note(path / INDEX)
        check_variant(path, variant, [path])

    @classmethod
    def is_one(cls, path: Path) -> bool:
        """Whether a directory says that it is one, and not that it is a checkpoint."""
        file = path / _CONFIG
        if (path / INDEX).exists() or not file.is_file():
            return False
        return read_json(file, path).get("_class_name") in {cls.class_name, *cls.other_names}

    def config(self, part: str) -> Told:
        """Its only one."""
        file = self.path / _CONFIG
        return Told(file, read_json(self.note(file), self.path))

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """From the headers of its weight files."""
        return read_weights(self.path, class_name, self.path, self._variant, self.note)
