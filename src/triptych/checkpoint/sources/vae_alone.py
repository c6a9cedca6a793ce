"""A VAE without a checkpoint around it: a folder as diffusers saves one, or a file in the original layout."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path

from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import OnePart, Told
from triptych.checkpoint.sources.one_folder import OneFolder
from triptych.checkpoint.sources.original.kinds import UNET_PREFIX, VAE_PREFIX
from triptych.checkpoint.sources.original.tensors import Tensors
from triptych.checkpoint.sources.original.vae import vae_config, vae_weights

CLASS = "AutoencoderKL"
# Of the original layout's names alone.
_MARK = "decoder.up.0.block.0.conv1.weight"
_OTHERS = (UNET_PREFIX, "cond_stage_model.", "conditioner.")
_OWN = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")


class VaeAlone(OnePart):
    """All that is asked of it is the part "vae"."""

    def index(self) -> Told:
        """As if it were a pipeline of one part."""
        return Told(self.config("vae").file, {"_class_name": CLASS, "vae": ["diffusers", CLASS]})

    @abstractmethod
    def config(self, part: str) -> Told:
        """The VAE's own."""


class VaeFolder(OneFolder, VaeAlone):
    """The directory at `path`."""

    class_name = CLASS


class VaeFile(VaeAlone):
    """The file at `path`; no shape tells what its latents are scaled by, which is left to whoever draws with it."""

    format = "single-file"

    def __init__(self, path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> None:
        self.path = path
        self._metadata = metadata
        prefix = VAE_PREFIX if f"{VAE_PREFIX}{_MARK}" in tensors else ""
        self._tensors = Tensors.below(path, prefix, tensors)

    @classmethod
    def is_one(cls, names: Collection[str]) -> bool:
        """Whether the names are a VAE's in the original layout, and no checkpoint's."""
        is_more = any(name.startswith(_OTHERS) for name in names)
        return not is_more and any(f"{prefix}{_MARK}" in names for prefix in (VAE_PREFIX, ""))

    def metadata(self) -> Mapping[str, str]:
        """Of the file's header."""
        return self._metadata

    def config(self, part: str) -> Told:
        """From the tensors' shapes."""
        return Told(self.path, vae_config(self._tensors))

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """By diffusers' names."""
        return {name: info for name, info in vae_weights(self._tensors).items() if name.startswith(_OWN)}
