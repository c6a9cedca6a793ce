"""The image encoder that an IP-Adapter was trained with: a folder as transformers saves one, or one file of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from triptych.checkpoint.configs import broken, read_json
from triptych.checkpoint.pickles import as_safetensors
from triptych.checkpoint.safetensors import TensorInfo, read_contents
from triptych.checkpoint.sources.base import Told
from triptych.checkpoint.sources.original.tensors import Tensors
from triptych.checkpoint.weights import read_weights

PART, ENCODER_CLASS = "image_encoder", "IPAdapterImageEncoder"
_VISION, _PROJECTION = "vision_model.", "visual_projection.weight"
# Width, layers and pixels of those that a file alone is known by: OpenCLIP's ViT-H/14 and ViT-bigG/14.
_KINDS = ((1280, 32, 224), (1664, 48, 224))
# What no shape of theirs tells.
_UNTOLD = {"num_attention_heads": 16, "hidden_act": "gelu"}

# Is told each file before it is read.
Note: TypeAlias = Callable[[Path], Path]


@dataclass(frozen=True)
class ImageEncoder:
    """`place` is the folder or the file; `weights` reads where its tensors lie, by transformers' names."""

    place: Path
    config: Told
    weights: Callable[[], dict[str, TensorInfo]]


def named_encoder(path: Path, note: Note) -> ImageEncoder:
    """The one at a path that somebody named, or in the folder `image_encoder` there."""
    if not path.exists():
        raise broken(path, "no such file or directory; it is named as image_encoder")
    if path.is_file():
        return _of_file(path, note)
    found = encoder_in(path, note) or encoder_in(path / PART, note)
    if found is None:
        raise broken(path, "no image encoder: CLIP's vision model is wanted, a folder with config.json or a file")
    return found


def encoder_in(folder: Path, note: Note) -> ImageEncoder | None:
    """The folder's, where it has a configuration."""
    if not (file := note(folder / "config.json")).is_file():
        return None
    weights = partial(read_weights, folder, ENCODER_CLASS, folder, "", note)
    return ImageEncoder(folder, Told(file, read_json(file, folder)), weights)


def _of_file(path: Path, note: Note) -> ImageEncoder:
    tensors, _ = read_contents(as_safetensors(note(path)))
    own = {name: info for name, info in tensors.items() if name.startswith(_VISION) or name == _PROJECTION}
    return ImageEncoder(path, Told(path, _config(Tensors(path, "", own))), lambda: own)


def _config(tensors: Tensors) -> Mapping[str, Any]:
    """By shapes, and for what they do not tell by kind."""
    embeddings = f"{_VISION}embeddings."
    hidden, channels, patch, _ = tensors.shape(f"{embeddings}patch_embedding.weight", 4)
    patches = tensors.shape(f"{embeddings}position_embedding.weight", 2)[0] - 1
    layers, size = tensors.several(f"{_VISION}encoder.layers.{{}}.layer_norm1.weight"), patch * math.isqrt(patches)
    if (hidden, layers, size) not in _KINDS:
        problem = f"a vision model {hidden} wide, of {layers} layers, for {size} pixels: a file does not tell all of it"
        raise broken(tensors.file, f"{problem}; name a folder that has its config.json too")
    return {
        "hidden_size": hidden,
        "num_channels": channels,
        "patch_size": patch,
        "image_size": size,
        "num_hidden_layers": layers,
        "intermediate_size": tensors.shape(f"{_VISION}encoder.layers.0.mlp.fc1.weight", 2)[0],
        "projection_dim": tensors.shape(_PROJECTION, 2)[0],
        **_UNTOLD,
    }
