"""What a checkpoint is read from, whatever that is: parts by the names that diffusers gives their folders.

Everything after this port sees no difference between a folder and a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from triptych.checkpoint.identity.fingerprint import FileState
from triptych.checkpoint.safetensors import TensorInfo


class Told(NamedTuple):
    """A configuration, and the file that errors about it name."""

    file: Path
    values: Mapping[str, Any]


class Prediction(NamedTuple):
    """What a UNet's output means: "epsilon", "v_prediction", "undecided" or "unknown"; and what told so."""

    type: str
    told_by: str


class Factors(NamedTuple):
    """What is added to a weight that lies elsewhere: up [out, rank] @ down [rank, in, ...]."""

    up: TensorInfo
    down: TensorInfo

    @property
    def shape(self) -> tuple[int, ...]:
        """The weight's."""
        return (self.up.shape[0], *self.down.shape[1:])


class Source(ABC):
    """One checkpoint at `path`; whatever is missing or wrong raises CheckpointInvalidError, which names the file."""

    path: Path
    format: str
    vae: Source | None = None
    """Another, whose VAE is in the place of its own."""

    @property
    def beside(self) -> Path | None:
        """A folder that a part of it lies in, where it is a file itself and not all of it."""
        return None

    def metadata(self) -> Mapping[str, str]:
        """Texts that its weights file says of itself."""
        return {}

    @cached_property
    def states(self) -> dict[Path, FileState]:
        """Each file that was read, as it was when that began."""
        return {}

    @cached_property
    def missing(self) -> set[Path]:
        """Each file that would have been read had it been there."""
        return set()

    def note(self, file: Path) -> Path:
        """The file, to be read next if it is there: what it is now belongs to the checkpoint's fingerprint."""
        if file not in self.states:
            try:
                self.states[file] = FileState.of(file)
            except FileNotFoundError:
                self.missing.add(file)
            except OSError:
                pass  # whoever reads it says why not
        return file

    @abstractmethod
    def index(self) -> Told:
        """As `model_index.json` has it: the pipeline's class, and each part's library and class."""

    @abstractmethod
    def config(self, part: str) -> Told:
        """One part's configuration: that of "unet", say, or of "scheduler"."""

    @abstractmethod
    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """Where each of its tensors lies, by the names that today's classes use; nothing is loaded."""

    def factors(self, part: str) -> Mapping[str, Factors]:
        """Of one that stands over a UNet: which of that one's weights it changes, by the same names, and how."""
        return {}

    @abstractmethod
    def tokenizer_file(self, part: str, name: str) -> bytes | None:
        """The content of one of a tokenizer's files, "vocab.json" say; None where it has none of that name."""

    @abstractmethod
    def prediction(self) -> Prediction:
        """What the scheduler is to take the UNet's output for."""

    @abstractmethod
    def place(self, part: str) -> Path:
        """What an error about a part as a whole names: its folder, or the file that all parts lie in."""


class OnePart(Source):
    """A source with no UNet and no text encoder, which draws nothing: a VAE alone, say, or an upscaler."""

    def tokenizer_file(self, part: str, name: str) -> bytes | None:
        """It reads no text."""
        return None

    def prediction(self) -> Prediction:
        """It predicts nothing."""
        return Prediction("", "")

    def place(self, part: str) -> Path:
        """All of it."""
        return self.path
