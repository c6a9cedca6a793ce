"""A checkpoint as a diffusers-format directory."""

from __future__ import annotations

from pathlib import Path

from triptych.checkpoint.configs import broken, read_json, read_small
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import Prediction, Source, Told
from triptych.checkpoint.sources.prediction import EPSILON
from triptych.checkpoint.weights import check_variant, read_weights
from triptych.contract.checkpoints import not_a_path

INDEX = "model_index.json"
_CONFIGS = {"scheduler": "scheduler_config.json", "feature_extractor": "preprocessor_config.json"}
_MISSED = {"scheduler": "and what it says of the noise, and of what the UNet predicts, cannot be guessed"}
# In an error that lists what is there instead.
_MOST_NAMED = 5


class Folder(Source):
    """The directory at `path`, which no link may lead out of; weights are of the `variant` where a part has it."""

    format = "diffusers"

    def __init__(self, path: Path, variant: str = "") -> None:
        if not path.is_dir():
            raise broken(path, not_a_path(str(path)) or "no such file or directory")
        self.path = path
        self._variant = variant

    def index(self) -> Told:
        """The file of that name."""
        file = self.path / INDEX
        if not (file.exists() or file.is_symlink()):
            raise broken(file, _no_index(self.path))
        told = Told(file, read_json(self.note(file), self.path))
        check_variant(self.path, self._variant)
        return told

    def config(self, part: str) -> Told:
        """The part's own file."""
        file = self._folder(part) / _CONFIGS.get(part, "config.json")
        return Told(file, read_json(self.note(file), self.path))

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """From the headers of the part's weight files."""
        return read_weights(self.path / part, class_name, self.path, self._variant, self.note)

    def tokenizer_file(self, part: str, name: str) -> bytes | None:
        """The file itself."""
        file = self.note(self._folder(part) / name)
        return read_small(file, self.path) if file.exists() else None

    def prediction(self) -> Prediction:
        """As the scheduler's configuration says, whose classes take epsilon for their default."""
        file, config = self.config("scheduler")
        return Prediction(str(config.get("prediction_type") or EPSILON), file.name)

    def place(self, part: str) -> Path:
        """The part's folder."""
        return self.path / part

    def _folder(self, part: str) -> Path:
        """The part's folder, which must be there."""
        folder = self.path / part
        if not (folder.exists() or folder.is_symlink()):
            raise broken(
                folder, f"the folder is missing, {_MISSED.get(part, 'which a picture needs')}; download it too"
            )
        return folder


def _no_index(directory: Path) -> str:
    """What to say of a directory without a `model_index.json`."""
    missing = "the file is missing; "
    if (directory / "snapshots").is_dir():
        return f"{missing}this is a hub's cache: give the directory of a revision, {directory / 'snapshots'}/..."
    if (directory.parent / "model_index.json").is_file():
        return f"{missing}this is one component; give the directory that it lies in"
    if files := sorted(path.name for path in directory.glob("*") if path.suffix in (".safetensors", ".ckpt")):
        named = ", ".join(files[:_MOST_NAMED])
        return f"{missing}there are single files ({named}): give the path of the one to serve"
    return f"{missing}is this a diffusers-format directory?"
