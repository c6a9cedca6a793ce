"""What a family of checkpoints is: its models, its texts, the request fields it knows, and what diffusers does to them.

A family is data and small pure functions; whatever is asked of a checkpoint's family is answered here, and nowhere else
is a family's name looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.corrections import sample_size
from triptych.contract import PREPROCESSOR, UPSCALER

# Height and width, or top and left, in pixels.
Pair = tuple[int, int]
# Podell et al., "SDXL" (arXiv:2307.01952), call "micro-conditioning" what a UNet is told of a picture besides its text:
# by the request's fields, a pair for a size, one number for a score.
MicroConditions = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class TextPart:
    """One text encoder's share in a conditioning: the hidden states of all lie side by side, in the family's order.

    `prompt` and `negative_prompt` are the request's fields; one that is empty is taken from the first part. The states
    are those of `skip_layers` before the last layer, with the final norm or without. A request's `clip_skip` is added
    for the prompt and not for the negative one, as in diffusers.
    """

    model: str
    tokenizer: str
    prompt: str
    negative_prompt: str
    skip_layers: int = 0
    final_norm: bool = True
    gives_pooled: bool = False

    def skipped(self, clip_skip: int, *, is_negative: bool) -> int:
        """Layers to leave out for one of the two prompts."""
        return self.skip_layers + (0 if is_negative else clip_skip)


class TimeIds(NamedTuple):
    """A UNet's `time_ids` for the prompt and for the negative one; empty where the family has none.

    `idle` are the fields that were given and have no effect, each with the reason.
    """

    positive: tuple[float, ...] = ()
    negative: tuple[float, ...] = ()
    idle: Mapping[str, str] = {}


def as_the_file_says(config: Mapping[str, object], is_own: bool) -> dict[str, object]:
    """A scheduler's configuration, which the family's pipeline leaves alone."""
    return dict(config)


def no_time_ids(asked: MicroConditions, height: int, width: int, begins_with_image: bool) -> TimeIds:
    """Where the UNet is told nothing of the picture."""
    return TimeIds()


def never_zero(index: Mapping[str, Any]) -> bool:
    """Where an empty negative prompt is a prompt like any other."""
    return False


def flat(asked: MicroConditions) -> tuple[float, ...]:
    """All numbers in their order."""
    return tuple(float(number) for numbers in asked.values() for number in numbers)


def by_its_class(index: Mapping[str, Any]) -> bool:
    """Where every checkpoint with one of the family's pipeline classes is of the family."""
    return True


@dataclass(frozen=True)
class Family:
    """A family by the `name` that the API tells; `title` is for people.

    pipelines: diffusers' classes, as `model_index.json` names them.
    parts: each model of the contract, and where it lies.
    texts: the text encoders, in the order of their hidden states.
    fields: the request's fields that not every family knows, and this one does.
    strength: the share of the steps that image-to-image does where a request does not say.
    inpaint_strength: the same of inpainting.
    default_guidance_scale: the pipeline's own.
    upcasts_vae: whether a VAE whose configuration says `force_upcast` is computed in float32 where others are in
        float16, in which it would overflow.
    normalizes_latents: whether the VAE's `latents_mean` and `latents_std` count.
    refiners: the families that can finish what this one began, by name: their latents are alike.
    needs_image: whether it draws from an image alone.
    check: raises CheckpointInvalidError where the components do not fit each other.
    is_one: from `model_index.json`, whether a checkpoint with one of the family's pipeline classes is of the family.
    sample_size: height and width in latents of a UNet's own pictures, from its file and configuration.
    scheduler_config: from a scheduler's configuration and whether it is the checkpoint's own, what the pipeline makes
        of it.
    time_ids: from what a request says of the picture, its height and width, and whether it begins with an image.
    zeroes_negative: from `model_index.json`, whether zeros stand for a negative prompt that is not given.
    """

    name: str
    title: str
    pipelines: tuple[str, ...]
    parts: Mapping[str, Part]
    texts: tuple[TextPart, ...]
    fields: frozenset[str]
    check: Callable[[Mapping[str, Component]], None]
    strength: float = 0.8
    inpaint_strength: float = 1.0
    default_guidance_scale: float = 7.5
    upcasts_vae: bool = False
    normalizes_latents: bool = False
    refiners: frozenset[str] = frozenset()
    needs_image: bool = False
    is_one: Callable[[Mapping[str, Any]], bool] = by_its_class
    sample_size: Callable[[Path, Mapping[str, Any]], tuple[int, int]] = sample_size
    scheduler_config: Callable[[Mapping[str, object], bool], dict[str, object]] = as_the_file_says
    time_ids: Callable[[MicroConditions, int, int, bool], TimeIds] = no_time_ids
    zeroes_negative: Callable[[Mapping[str, Any]], bool] = never_zero

    @property
    def draws(self) -> bool:
        """Whether a request can be for a checkpoint of it: what reads no text is a part of others."""
        return bool(self.texts)

    @property
    def enlarges(self) -> bool:
        """Whether it is an upscaler's."""
        return UPSCALER.name in self.parts

    @property
    def prepares(self) -> bool:
        """Whether it is a preprocessor's."""
        return PREPROCESSOR.name in self.parts


# With union ControlNets, which only Stable Diffusion XL has.
UNION_TASKS = ("ControlNetUnion", "ControlNetUnionImg2Img", "ControlNetUnionInpaint")


def pipelines_for(name: str, *more: str) -> tuple[str, ...]:
    """A family's classes in diffusers by how they begin: those for other tasks have the components of the one for text.

    What they have besides is not asked for. `more` are tasks that not every such family has.
    """
    tasks = (
        "", "Img2Img", "Inpaint", "InstructPix2Pix", "ControlNet", "ControlNetImg2Img", "ControlNetInpaint"
    )  # fmt: skip
    return tuple(f"{name}{task}Pipeline" for task in (*tasks, *more))
