"""A checkpoint as one file in the original implementations' layout, served where it lies.

Names are mapped, and what differs in layout is a view of the file: nothing is written, and nothing is copied here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from triptych.checkpoint.configs import broken
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources import clip_vocabulary
from triptych.checkpoint.sources.base import Prediction, Source, Told
from triptych.checkpoint.sources.original.kinds import UNET_PREFIX, VAE_PREFIX, kind_of, task_of
from triptych.checkpoint.sources.original.tensors import Tensors
from triptych.checkpoint.sources.original.text import Text
from triptych.checkpoint.sources.original.unet import unet_config, unet_weights
from triptych.checkpoint.sources.original.vae import vae_config, vae_weights
from triptych.checkpoint.sources.prediction import PREDICTION_TYPES, ZERO_SNR_MARK, find_prediction

# What ComfyUI puts beside weights in 8 bits that are to be multiplied first.
_SCALES = ("scaled_fp8", ".scale_weight")


class SingleFile(Source):
    """The file at `path`; `tensors` are its own, or those of what was made of it."""

    format = "single-file"

    def __init__(self, path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> None:
        self.path = path
        self._metadata = metadata
        self._unet, self._vae = (Tensors.below(path, prefix, tensors) for prefix in (UNET_PREFIX, VAE_PREFIX))
        self._kind = kind_of(path, tensors)
        self._task = task_of(path, self._kind, self._unet)
        self._texts = {each.part: Text(each, Tensors.below(path, each.prefix, tensors)) for each in self._kind.encoders}
        self.note(path.with_suffix(".yaml"))
        self._prediction = find_prediction(path, tensors, metadata, self._task.prediction_type)
        self._has_zero_snr = ZERO_SNR_MARK in tensors

    def metadata(self) -> Mapping[str, str]:
        """Of the file's header."""
        return self._metadata

    def index(self) -> Told:
        """What the kind's repository has."""
        classes: dict[str, Any] = {
            "_class_name": self._task.pipeline,
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
            "scheduler": ["diffusers", self._task.scheduler["_class_name"]],
        }
        for each in self._kind.encoders:
            classes |= {each.part: ["transformers", each.class_name], each.tokenizer: ["transformers", "CLIPTokenizer"]}
        return Told(self.path, {**classes, **self._kind.index})

    def config(self, part: str) -> Told:
        """From the tensors' shapes, and from what all of the kind have."""
        match part:
            case "scheduler":
                return Told(self.path, self._scheduler())
            case "unet":
                return Told(self.path, self._unet_config())
            case "vae":
                return Told(self.path, vae_config(self._vae) | {"scaling_factor": self._kind.scaling_factor})
        return Told(self.path, self._texts[part].config())

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """By today's names; what no model of the kind has is left out."""
        match part:
            case "unet":
                return unet_weights(self._unet)
            case "vae":
                return vae_weights(self._vae)
        return self._texts[part].weights

    def tokenizer_file(self, part: str, name: str) -> bytes | None:
        """The vocabulary is CLIP's; the padding is the kind's."""
        pads = {each.tokenizer: each.pad_token for each in self._kind.encoders}
        return clip_vocabulary.tokenizer_file(name, pads[part])

    def place(self, part: str) -> Path:
        """All is in the one file."""
        return self.path

    def prediction(self) -> Prediction:
        """Of the tensors' marks, the metadata or a file beside it."""
        return self._prediction

    def _scheduler(self) -> dict[str, Any]:
        is_told = self._prediction.type in PREDICTION_TYPES
        told = {"prediction_type": self._prediction.type} if is_told else {}
        return {**self._task.scheduler, **told} | ({"rescale_betas_zero_snr": True} if self._has_zero_snr else {})

    def _unet_config(self) -> dict[str, Any]:
        kind, config = self._kind, unet_config(self._unet, self._kind.heads)
        if bool(kind.time_ids) != ("addition_embed_type" in config):
            problem = f"its UNet's label_emb is not that of {kind.title}; unCLIP and the upscaler are not supported"
            raise broken(self.path, problem)
        if kind.time_ids:
            pooled = self._texts["text_encoder_2"].config()["projection_dim"]
            sizes = config["projection_class_embeddings_input_dim"] - pooled
            config["addition_time_embed_dim"] = max(1, sizes // kind.time_ids)
        return {"sample_size": kind.sample_size, **config, **kind.unet}


def check_scales(path: Path, names: Iterable[str]) -> None:
    """CheckpointInvalidError for 8-bit weights beside which a factor lies: read plain they would be others."""
    if scale := next((name for name in names if name.endswith(_SCALES)), ""):
        problem = f"its 8-bit weights are to be scaled ({scale[:100]}), which is not supported"
        raise broken(path, f"{problem}; take a file with plain weights, in float16 say")
