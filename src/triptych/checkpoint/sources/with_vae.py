"""A checkpoint with another VAE than its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import Prediction, Source, Told
from triptych.checkpoint.sources.vae_alone import VaeFile

_VAE = "vae"
# What a VAE's file has from the one that it replaces, besides sizes.
_KEPT = ("scaling_factor", "force_upcast")


class WithVae(Source):
    """All but the part "vae" is `whole`'s; `other` may be a VAE alone, or a checkpoint, whose VAE it is then."""

    def __init__(self, whole: Source, other: Source) -> None:
        self.path, self.format = whole.path, whole.format
        self._whole = whole
        self.vae = self._other = other
        # One fingerprint of both: each goes on noting here what it reads.
        self.states = whole.states = other.states = {**other.states, **whole.states}
        self.missing = whole.missing = other.missing = other.missing | whole.missing

    def metadata(self) -> Mapping[str, str]:
        """The checkpoint's."""
        return self._whole.metadata()

    def index(self) -> Told:
        """The checkpoint's, with the other's entry."""
        file, values = self._whole.index()
        return Told(file, {**values, _VAE: self._other.index().values.get(_VAE)})

    def config(self, part: str) -> Told:
        """A file of a VAE does not tell what its latents are scaled by; those of one kind are scaled alike."""
        if part != _VAE:
            return self._whole.config(part)
        file, values = self._other.config(part)
        if not isinstance(self._other, VaeFile):
            return Told(file, values)
        own = self._whole.config(part).values
        return Told(file, {**values, **{key: own[key] for key in _KEPT if key in own}})

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """Of whichever has the part."""
        return self._of(part).weights(part, class_name)

    def tokenizer_file(self, part: str, name: str) -> bytes | None:
        """The checkpoint's."""
        return self._whole.tokenizer_file(part, name)

    def prediction(self) -> Prediction:
        """The checkpoint's."""
        return self._whole.prediction()

    def place(self, part: str) -> Path:
        """Of whichever has the part."""
        return self._of(part).place(part)

    def _of(self, part: str) -> Source:
        return self._other if part == _VAE else self._whole
