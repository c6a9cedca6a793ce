"""The kinds of checkpoints that single files hold, told apart by their text encoders and the UNet's input channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import methodcaller
from pathlib import Path
from typing import Any

from triptych.checkpoint.configs import broken
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.original import schedulers
from triptych.checkpoint.sources.original.strangers import stranger
from triptych.checkpoint.sources.original.tensors import Tensors

UNET_PREFIX, VAE_PREFIX = "model.diffusion_model.", "first_stage_model."
# Input channels of a UNet for what no task here is.
_OTHER_TASKS = {5: "a depth map as well", 7: "a smaller picture as well, to upscale it"}


@dataclass(frozen=True)
class TextEncoder:
    """One text encoder: which part it is, how its tensors' names begin, and what its shapes do not tell.

    `is_open_clip`: in OpenCLIP's layout. `skips_last`: the model takes the states before the last layer, which
    diffusers leaves out of the text encoder. `pad_token` is its tokenizer's.
    """

    part: str
    class_name: str
    prefix: str
    activation: str
    is_open_clip: bool = False
    skips_last: bool = False
    pad_token: str = "<|endoftext|>"

    @property
    def tokenizer(self) -> str:
        """The part that its tokenizer is."""
        return self.part.replace("text_encoder", "tokenizer")


@dataclass(frozen=True)
class Task:
    """diffusers' class, and the scheduler in its repository; `prediction_type` is "" where only the weights tell."""

    pipeline: str
    scheduler: Mapping[str, Any]
    prediction_type: str = "epsilon"


@dataclass(frozen=True)
class Kind:
    """`tasks` are by the UNet's input channels. `heads` is what `unet_config` takes.

    `time_ids`: numbers that the UNet is told beside a pooled text. `unet` and `index` are what its configuration and
    `model_index.json` say besides.
    """

    title: str
    encoders: tuple[TextEncoder, ...]
    tasks: Mapping[int, Task]
    sample_size: int
    scaling_factor: float
    heads: int | None = None
    time_ids: int = 0
    unet: Mapping[str, Any] = field(default_factory=dict)
    index: Mapping[str, Any] = field(default_factory=dict)


_CLIP_L = TextEncoder("text_encoder", "CLIPTextModel", "cond_stage_model.transformer.", "quick_gelu")
_CLIP_H = TextEncoder(
    "text_encoder",
    "CLIPTextModel",
    "cond_stage_model.model.",
    "gelu",
    is_open_clip=True,
    skips_last=True,
    pad_token="!",
)
_CLIP_G = TextEncoder(
    "text_encoder_2",
    "CLIPTextModelWithProjection",
    "conditioner.embedders.1.model.",
    "gelu",
    is_open_clip=True,
    pad_token="!",
)

KINDS = (
    Kind(
        "Stable Diffusion 1.x",
        (_CLIP_L,),
        {
            4: Task("StableDiffusionPipeline", schedulers.PNDM),
            8: Task("StableDiffusionInstructPix2PixPipeline", schedulers.EULER_ANCESTRAL),
            9: Task("StableDiffusionInpaintPipeline", schedulers.PNDM),
        },
        sample_size=64,
        scaling_factor=0.18215,
        heads=8,
    ),
    Kind(
        "Stable Diffusion 2.x",
        (_CLIP_H,),
        {
            4: Task("StableDiffusionPipeline", schedulers.DDIM, prediction_type=""),
            9: Task("StableDiffusionInpaintPipeline", schedulers.PNDM),
        },
        sample_size=96,
        scaling_factor=0.18215,
        unet={"upcast_attention": True},
    ),
    Kind(
        "Stable Diffusion XL base",
        (replace(_CLIP_L, prefix="conditioner.embedders.0.transformer."), _CLIP_G),
        {
            4: Task("StableDiffusionXLPipeline", schedulers.EULER),
            8: Task("StableDiffusionXLInstructPix2PixPipeline", schedulers.EULER),
            9: Task("StableDiffusionXLInpaintPipeline", schedulers.EULER),
        },
        sample_size=128,
        scaling_factor=0.13025,
        time_ids=6,
        index={"force_zeros_for_empty_prompt": True},
    ),
    Kind(
        "Stable Diffusion XL refiner",
        (replace(_CLIP_G, prefix="conditioner.embedders.0.model."),),
        {4: Task("StableDiffusionXLImg2ImgPipeline", schedulers.EULER)},
        sample_size=128,
        scaling_factor=0.13025,
        time_ids=5,
        index={
            "text_encoder": [None, None],
            "tokenizer": [None, None],
            "force_zeros_for_empty_prompt": False,
            "requires_aesthetics_score": True,
        },
    ),
)

_FIRST, _SECOND = KINDS[:2]
# As trainers that load diffusers' folders write it, whose text encoder is transformers'.
_SECOND_IN_TRANSFORMERS = replace(_SECOND, encoders=(replace(_CLIP_H, prefix=_CLIP_L.prefix, is_open_clip=False),))


def kind_of(path: Path, tensors: Mapping[str, TensorInfo]) -> Kind:
    """The kind whose text encoders the file at `path` has, by its tensors' names; error about what is missing."""
    names = tensors.keys()

    def has(prefix: str) -> bool:
        return any(map(methodcaller("startswith", prefix), names))

    if not has(f"{UNET_PREFIX}input_blocks."):
        raise broken(path, stranger(names))
    if has("edm_"):
        raise broken(path, "it was trained with EDM's noise (as Playground v2.5 and CosXL are), which is not supported")
    kind = next((kind for kind in KINDS if any(has(each.prefix) for each in kind.encoders)), None)
    if kind is None:
        raise broken(path, f"it lacks the text encoder ({_prefixes()}); take the file that holds all parts")
    for each in kind.encoders:
        if not has(each.prefix):
            raise broken(path, f"it lacks {each.part} of {kind.title} ({each.prefix}...); take the file that holds all")
    if not has(VAE_PREFIX):
        raise broken(path, f"it lacks the VAE ({VAE_PREFIX}...); take the file that holds all parts")
    return _SECOND_IN_TRANSFORMERS if kind is _FIRST and _projects_by_matrices(tensors) else kind


def _projects_by_matrices(tensors: Mapping[str, TensorInfo]) -> bool:
    """Whether the UNet's attention has matrices about it, as 2.x has; 1.x has convolutions there."""
    projections = (name for name in tensors if name.startswith(UNET_PREFIX) and name.endswith(".1.proj_in.weight"))
    return any(len(tensors[name].shape) == 2 for name in projections)


def task_of(path: Path, kind: Kind, unet: Tensors) -> Task:
    """What the checkpoint is for; error for what is not supported."""
    channels = unet.shape("input_blocks.0.0.weight", 4)[1]
    if channels not in kind.tasks:
        what = f", for it draws from {_OTHER_TASKS[channels]}" if channels in _OTHER_TASKS else ""
        known = ", ".join(map(str, kind.tasks))
        raise broken(path, f"the UNet takes {channels} channels{what}; supported for {kind.title} are {known}")
    return kind.tasks[channels]


def _prefixes() -> str:
    return ", ".join(f"{each.prefix}..." for kind in KINDS for each in kind.encoders)
