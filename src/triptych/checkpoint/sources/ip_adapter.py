"""An IP-Adapter: one file, as they are published, and the image encoder that it was trained with.

What each kind has between that encoder and the UNet is told by names, and its sizes by shapes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from triptych.checkpoint.configs import broken
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import OnePart, Told
from triptych.checkpoint.sources.image_encoder import ENCODER_CLASS, PART, ImageEncoder, encoder_in, named_encoder
from triptych.checkpoint.sources.original.tensors import Tensors

CLASS = "IPAdapter"
# Between what CLIP makes of a picture and the tokens: one matrix, a resampler, or a layer for each of CLIP's own.
PLAIN, PLUS, FULL = "plain", "plus", "full"
PROJECTION, ATTENTIONS = "image_proj.", "ip_adapter."
# Of the repository that the adapters were published in, the folders that have an image encoder each.
_FOLDERS = ("models", "sdxl_models")
# By what stands in the file, diffusers' names for the same layers.
_RENAMED: Mapping[str, Mapping[str, str]] = {
    PLAIN: {r"^proj\.": "image_embeds."},
    FULL: {r"^proj\.0\.": "ff.net.0.proj.", r"^proj\.2\.": "ff.net.2.", r"^proj\.3\.": "norm."},
    PLUS: {
        r"^(layers\.\d+)\.0\.norm1\.": r"\1.ln0.",
        r"^(layers\.\d+)\.0\.norm2\.": r"\1.ln1.",
        r"^(layers\.\d+)\.0\.to_(q|kv)\.": r"\1.attn.to_\2.",
        r"^(layers\.\d+)\.0\.to_out\.": r"\1.attn.to_out.0.",
        r"^(layers\.\d+)\.1\.0\.": r"\1.ff.0.",
        r"^(layers\.\d+)\.1\.1\.": r"\1.ff.1.net.0.proj.",
        r"^(layers\.\d+)\.1\.3\.": r"\1.ff.1.net.2.",
    },
}
_NUMBERS_A_HEAD = 64


class IpAdapterFile(OnePart):
    """The file at `path`; all that is asked of it is the part "image_encoder", which all tensors belong to.

    `image_encoder` is the path of one that is named; None: that which lies beside the file.
    """

    format = "single-file"
    image_encoder: Path | None = None

    def __init__(self, path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> None:
        self.path = path
        self._metadata = metadata
        self._projection = _renamed(Tensors.below(path, PROJECTION, tensors))
        self._attentions = {name: info for name, info in tensors.items() if name.startswith(ATTENTIONS)}

    @property
    def beside(self) -> Path:
        """The image encoder's."""
        return self._encoder.place

    @classmethod
    def is_one(cls, names: Collection[str]) -> bool:
        """Whether the names are an IP-Adapter's."""
        return all(any(name.startswith(prefix) for name in names) for prefix in (PROJECTION, ATTENTIONS))

    def metadata(self) -> Mapping[str, str]:
        """Of the file's header."""
        return self._metadata

    def index(self) -> Told:
        """As if it were a pipeline of one part."""
        return Told(self.path, {"_class_name": CLASS, PART: ["triptych", ENCODER_CLASS]})

    def config(self, part: str) -> Told:
        """The image encoder's, and what the shapes tell of the rest."""
        file, config = self._encoder.config
        return Told(file, {**config, **self._sizes})

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """The encoder's by transformers' names, what follows it by diffusers', and the UNet's by the file's."""
        projection = {f"{PROJECTION}{name}": info for name, info in self._projection.by_name.items()}
        return {**self._encoder.weights(), **projection, **self._attentions}

    @cached_property
    def _sizes(self) -> dict[str, Any]:
        kind, tensors = _kind(self._projection), self._projection
        width = tensors.shape("norm_out.weight" if kind == PLUS else "norm.weight", 1)[0]
        sizes: dict[str, Any] = {"image_projection": kind, "cross_attention_dim": width}
        if kind == PLAIN:
            return sizes | {"prompt_tokens": tensors.shape("image_embeds.weight", 2)[0] // width}
        if kind == FULL:
            return sizes
        _, tokens, inner = tensors.shape("latents", 3)
        return sizes | {
            "prompt_tokens": tokens,
            "resampler_width": inner,
            "resampler_layers": tensors.several("layers.{}.attn.to_q.weight"),
            "resampler_heads": tensors.shape("layers.0.attn.to_q.weight", 2)[0] // _NUMBERS_A_HEAD,
        }

    @cached_property
    def _encoder(self) -> ImageEncoder:
        """The one that is named, or the first beside the file, that is as wide as the file asks."""
        name, key = _SEEN[_kind(self._projection)]
        wanted, found = self._projection.shape(name, 2)[1], []
        for encoder in self._candidates():
            if (width := encoder.config.values.get(key)) == wanted:
                return encoder
            found.append(f"{encoder.place}, whose {key} is {width}")
        there = " and ".join(found)
        if self.image_encoder:
            raise broken(self.path, f"it asks for an image encoder with a {key} of {wanted}, and not for {there}")
        problem = f"its image encoder, with a {key} of {wanted}, is not in the folder image_encoder beside it"
        remedy = "; name its folder or file as image_encoder"
        raise broken(self.path, problem + (f"; there is {there}" if there else "") + remedy)

    def _candidates(self) -> Iterator[ImageEncoder]:
        if self.image_encoder:
            yield named_encoder(self.image_encoder, self.note)
            return
        here, whole = self.path.parent, self.path.parent.parent
        for folder in (here, *(whole / name for name in _FOLDERS)):
            if encoder := encoder_in(folder / PART, self.note):
                yield encoder


# What takes what the image encoder makes, and what of its configuration says how wide that is.
_SEEN = {
    PLAIN: ("image_embeds.weight", "projection_dim"),
    FULL: ("ff.net.0.proj.weight", "hidden_size"),
    PLUS: ("proj_in.weight", "hidden_size"),
}


def _kind(projection: Tensors) -> str:
    if "latents" in projection and "proj_in.weight" in projection:
        return PLUS
    if "image_embeds.weight" in projection or "proj.weight" in projection:
        return PLAIN
    if "ff.net.0.proj.weight" in projection or "proj.3.weight" in projection:
        return FULL
    known = "supported are plain, plus and full-face ones"
    raise broken(projection.file, f"it is an IP-Adapter of a kind that is not supported, a FaceID one perhaps; {known}")


def _renamed(projection: Tensors) -> Tensors:
    named: dict[str, TensorInfo] = {}
    for name, info in projection.by_name.items():
        for pattern, new in _RENAMED[_kind(projection)].items():
            name = re.sub(pattern, new, name)
        if name.endswith(".attn.to_kv.weight") and info.shape:
            half = info.shape[0] // 2
            named[name.replace("to_kv", "to_k")], named[name.replace("to_kv", "to_v")] = (
                info.rows(begin, begin + half) for begin in (0, half)
            )
        else:
            named[name] = info
    return Tensors(projection.file, PROJECTION, named)
