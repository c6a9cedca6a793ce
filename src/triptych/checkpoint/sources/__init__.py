"""Where a checkpoint's parts come from; another kind of place is its own file here."""

from __future__ import annotations

from pathlib import Path

from triptych.checkpoint.identity.fingerprint import FileState
from triptych.checkpoint.pickles import as_safetensors
from triptych.checkpoint.safetensors import read_contents
from triptych.checkpoint.sources.base import Factors, Prediction, Source, Told
from triptych.checkpoint.sources.controls.file import ControlNetFile
from triptych.checkpoint.sources.controls.folder import ControlNetFolder
from triptych.checkpoint.sources.controls.lora_file import ControlLoraFile
from triptych.checkpoint.sources.controls.t2i_adapter import T2IAdapterFile, T2IAdapterFolder
from triptych.checkpoint.sources.controls.union import ControlNetUnionFile, ControlNetUnionFolder
from triptych.checkpoint.sources.folder import Folder
from triptych.checkpoint.sources.ip_adapter import IpAdapterFile
from triptych.checkpoint.sources.network_file import SUFFIX, NetworkFile
from triptych.checkpoint.sources.one_folder import OneFolder
from triptych.checkpoint.sources.single_file import SingleFile, check_scales
from triptych.checkpoint.sources.upscaler import UpscalerFile
from triptych.checkpoint.sources.vae_alone import VaeFile, VaeFolder
from triptych.checkpoint.sources.with_vae import WithVae
from triptych.errors import invalid

__all__ = ["Factors", "Prediction", "Source", "Told", "VaeFile", "open_source"]

# What files hold that are no checkpoints, the first that one is.
_FILES: tuple[type[VaeFile | UpscalerFile | ControlNetFile | T2IAdapterFile | IpAdapterFile], ...] = (
    VaeFile, UpscalerFile, ControlLoraFile, ControlNetUnionFile, ControlNetFile, T2IAdapterFile, IpAdapterFile,
)  # fmt: skip


def open_source(path: Path, variant: str = "", vae: Path | None = None, image_encoder: Path | None = None) -> Source:
    """The source that a path is, or with the VAE of another; CheckpointInvalidError says what it is instead.

    `variant` is diffusers', for the weights of the path's own folder; `image_encoder` an IP-Adapter's.
    """
    if vae is not None:
        return WithVae(open_source(path, variant, None, image_encoder), open_source(vae))
    source = _open(path, variant)
    if image_encoder is not None:
        if not isinstance(source, IpAdapterFile):
            raise invalid("image_encoder", f"{path} is no IP-Adapter, which alone looks at pictures by one")
        source.image_encoder = image_encoder
    return source


def _open(path: Path, variant: str) -> Source:
    if not path.is_file():
        kinds: tuple[type[OneFolder], ...] = (VaeFolder, ControlNetFolder, ControlNetUnionFolder, T2IAdapterFolder)
        kind = next((kind for kind in kinds if kind.is_one(path)), Folder)
        return kind(path, variant)
    if variant:
        raise invalid("variant", f"{path} is a single file, which has no variants")
    return NetworkFile(path) if path.suffix.lower() == SUFFIX else _open_file(path)


def _open_file(path: Path) -> Source:
    """From the file's header alone; a pickled file is converted first, once."""
    state = FileState.of(path)
    tensors, metadata = read_contents(as_safetensors(path))
    check_scales(path, tensors)
    kind = next((kind for kind in _FILES if kind.is_one(tensors)), SingleFile)
    source = kind(path, tensors, metadata)
    source.states[path] = state
    return source
