"""What is compared with diffusers: every family, task, engine and parameter, so that values meet by twos or threes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conftest import WITH_TORCH
from tests.parity.controls import ADAPTERS, CONTROLS, HOLES, UNIONS
from tests.parity.prompts import PROMPTS
from triptych_orchestrator.sampling.schedulers import SCHEDULERS

Values = Mapping[str, Any]

ENGINES = ("onnxruntime", "torch")
FAMILIES = {
    "sd1": "Stable Diffusion 1.x",
    "sd2-epsilon": "Stable Diffusion 2.x, epsilon",
    "sd2": "Stable Diffusion 2.x, v",
    "sd2zero": "Stable Diffusion 2.x, v, zero terminal SNR",
    "sdxl": "Stable Diffusion XL base",
    "refiner": "Stable Diffusion XL refiner",
}
FORMATS = ("directory", "single file")
TASKS = {
    "text-to-image": "text-to-image",
    "image-to-image": "image-to-image",
    "refined": "with a refiner",
    "hires": "hires fix",
    "varied": "variations",
    "inpaint": "inpaint",
    "inpaint-seen": "inpaint, 9 channels",
    "instructed": "InstructPix2Pix",
    "control": "ControlNet",
    "control-image": "ControlNet, image-to-image",
    "control-inpaint": "ControlNet, inpaint",
    "control-hires": "ControlNet, hires fix",
    "adapted": "T2I-Adapter",
    "prompted": "IP-Adapter",
}
# Of those under ControlNets, what they are without.
CONTROLLED = {
    "control": "text-to-image",
    "control-image": "image-to-image",
    "control-inpaint": "inpaint",
    "control-hires": "hires",
    "adapted": "text-to-image",
}
# Those for which single files are compared too.
FILED = ("text-to-image", "image-to-image")
# Families, where not all do a task.
ONLY = {
    "refined": ("sdxl",),
    "hires": ("sd1", "sd2", "sdxl"),
    "varied": ("sd1", "sdxl"),
    "inpaint-seen": ("sd1", "sd2-epsilon", "sdxl"),
    "instructed": ("sd1", "sdxl"),
    "prompted": ("sd1", "sdxl"),
    **dict.fromkeys(CONTROLLED, ("sd1", "sd2", "sdxl")),
}
EXCEPT = {"text-to-image": ("refiner",)}

# Tasks that want checkpoints of their own: what these are called besides the family, their pipelines, and their UNets'
# input channels.
EDITING = {
    "inpaint-seen": ("inpaint", "InpaintPipeline", 9),
    "instructed": ("pix2pix", "InstructPix2PixPipeline", 8),
}

# Each parameter's values, by diffusers' names; the first is what most requests bring.
TEXT_TO_IMAGE: Mapping[str, Sequence[Any]] = {
    "scheduler": ("", *SCHEDULERS),
    "guidance_scale": (7.5, 1.0),
    "negative_prompt": ("blue", ""),
    "num_images_per_prompt": (1, 2),
    "size": ((64, 64), (96, 64), (72, 104)),
    "num_inference_steps": (5,),
}
# `image_size` is the image's own, which the picture's follows.
IMAGE_TO_IMAGE: Mapping[str, Sequence[Any]] = {
    "scheduler": ("", *SCHEDULERS),
    "strength": (0.8, 0.25, 1.0),
    "guidance_scale": (7.5, 1.0),
    "images": ("one", "two", "one for two", "one for two seeds", "two for two seeds"),
    "image_size": ((64, 64), (75, 101)),
    "num_inference_steps": (8,),
}
# The refiner is a checkpoint's name, of the same engine.
REFINED: Mapping[str, Sequence[Any]] = {
    "scheduler": ("", *SCHEDULERS),
    "refiner": ("refiner", "sdxl"),
    "refiner_start": (0.8, 0.3),
    "guidance_scale": (5.0, 1.0),
    "strength": (None, 0.9),
    "num_images_per_prompt": (1, 2),
    "num_inference_steps": (10,),
}
# `upscaler`, `hires_strength` and `hires_steps` are of the second pass.
HIRES: Mapping[str, Sequence[Any]] = {
    "scheduler": ("", "euler_ancestral", "dpmpp_2m_karras"),
    "upscaler": ("latent", "latent_bicubic_antialiased", "lanczos"),
    "hires_strength": (0.7, 0.4),
    "hires_steps": (None, 8),
    "guidance_scale": (7.5, 1.0),
    "num_images_per_prompt": (1, 2),
    "num_inference_steps": (5,),
}
# `resize_from` is in latents.
VARIED: Mapping[str, Sequence[Any]] = {
    "scheduler": ("", "euler_ancestral"),
    "subseed_strength": (0.3, None),
    "resize_from": (None, (6, 15)),
    "num_images_per_prompt": (1, 2),
    "num_inference_steps": (5,),
}
# `mask` is how masks look, one for all or, for two images, one for each.
INPAINT: Mapping[str, Sequence[Any]] = {
    "scheduler": ("", *SCHEDULERS),
    "strength": (None, 1.0, 0.6),
    "guidance_scale": (7.5, 1.0),
    "images": ("one", "two", "one for two", "one for two seeds", "two for two seeds"),
    "mask": ("disc", "discs", "small and grey"),
    "image_size": ((64, 64), (75, 101)),
    "padding_mask_crop": (None, 5),
    "num_inference_steps": (6,),
}
INPAINT_SEEN: Mapping[str, Sequence[Any]] = {
    "scheduler": ("", "euler_ancestral"),
    "strength": (None, 1.0, 0.6),
    "guidance_scale": (7.5, 1.0),
    "images": ("one", "one for two seeds", "two for two seeds"),
    "mask": ("disc", "discs"),
    "image_size": ((64, 64), (75, 101)),
    "padding_mask_crop": (None, 5),
    "num_inference_steps": (5,),
}
INSTRUCTED: Mapping[str, Sequence[Any]] = {
    "scheduler": ("", "ddim", "euler_ancestral"),
    "guidance_scale": (7.5, 1.0),
    "image_guidance_scale": (1.5, 4.0, 1.0),
    "images": ("one", "two", "one for two", "two for two seeds"),
    "image_size": ((64, 64), (75, 101)),
    "num_inference_steps": (5,),
}
_CONTROL: Mapping[str, Sequence[Any]] = {"controls": (*CONTROLS, *UNIONS), "guess_mode": (False, True)}
CONTROL = _CONTROL | {
    "scheduler": ("", "ddim", "euler_ancestral"),
    "guidance_scale": (7.5, 1.0),
    "num_images_per_prompt": (1, 2),
    "size": ((64, 64), (96, 64)),
    "num_inference_steps": (5,),
}
ADAPTED = {**CONTROL, "controls": (*ADAPTERS,), "guess_mode": (False,)}
PROMPTED = {
    "prompts": (*PROMPTS,),
    "scheduler": ("", *SCHEDULERS),
    "strength": (None, 0.6),
    "guidance_scale": (7.5, 1.0),
    "num_images_per_prompt": (1, 2),
    "num_inference_steps": (5,),
}
CONTROL_IMAGE = _CONTROL | {
    "scheduler": ("", "ddim"),
    "strength": (0.8, 0.5),
    "guidance_scale": (7.5, 1.0),
    "images": ("one", "one for two seeds"),
    "image_size": ((64, 64), (72, 96)),
    "num_inference_steps": (8,),
}
CONTROL_INPAINT = CONTROL_IMAGE | {
    "controls": (*CONTROLS, *UNIONS, *HOLES),
    "strength": (None, 0.6),
    "mask": ("disc",),
    "padding_mask_crop": (None, 5),
}
CONTROL_HIRES = _CONTROL | {
    "scheduler": ("", "ddim"),
    "upscaler": ("latent", "lanczos"),
    "hires_strength": (0.7,),
    "hires_steps": (None,),
    "guidance_scale": (7.5,),
    "num_inference_steps": (5,),
}
PARAMETERS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "text-to-image": TEXT_TO_IMAGE,
    "image-to-image": IMAGE_TO_IMAGE,
    "refined": REFINED,
    "hires": HIRES,
    "varied": VARIED,
    "inpaint": INPAINT,
    "inpaint-seen": INPAINT_SEEN,
    "instructed": INSTRUCTED,
    "control": CONTROL,
    "control-image": CONTROL_IMAGE,
    "control-inpaint": CONTROL_INPAINT,
    "control-hires": CONTROL_HIRES,
    "adapted": ADAPTED,
    "prompted": PROMPTED,
}


# What only some families know, or diffusers' pipelines of some tasks: values that come together, all of them unlike.
_TEXTS = {"prompt_2": "a green square", "negative_prompt_2": "large star", "negative_prompt": "on white"}
_SIZES = {"original_size": (300, 200), "crops_coords_top_left": (11, 7), "target_size": (90, 130)}
_NEGATIVE_SIZES = {
    "negative_original_size": (50, 60),
    "negative_crops_coords_top_left": (3, 5),
    "negative_target_size": (70, 80),
}
MORE: Mapping[str, Values] = {
    "": {},
    "clip skip": {"clip_skip": 1},
    "rescaled": {"guidance_rescale": 0.7},
    "texts": {**_TEXTS, "clip_skip": 1},
    "no negative": {"negative_prompt": None},
    "other texts": _TEXTS,
    "sizes": _SIZES,
    "all sizes": _SIZES | _NEGATIVE_SIZES,
    "one negative size": {"negative_target_size": (70, 80)},
    "scores": {"aesthetic_score": 8.5, "negative_aesthetic_score": 1.25},
    "tiling": {"tiling": True},
    "tiling along one": {"tiling": "x"},
    "all told": {
        "original_size": (300, 200),
        "crops_coords_top_left": (11, 7),
        "negative_original_size": (50, 60),
        "negative_crops_coords_top_left": (3, 5),
        "aesthetic_score": 3.25,
        "negative_aesthetic_score": 9.0,
        "clip_skip": 1,
        "negative_prompt": None,
    },
}
_OF_XL = ("", "rescaled", "texts", "no negative", "sizes", "all sizes", "one negative size")


def known(family: str, task: str) -> tuple[str, ...]:
    """The names in MORE of what a family's pipeline for the task takes; where both tasks' are alike, one is enough."""
    if task in ("varied", "prompted"):
        return ("",)
    if task in CONTROLLED:
        return ("", "texts") if (family, task) == ("sdxl", "control") else ("",)
    if task == "hires":
        return ("", "texts", "all sizes") if family == "sdxl" else ("",)
    if task == "refined":
        return ("", "texts", "no negative", "all sizes", "scores", "rescaled")
    if task == "inpaint-seen":
        return ("", "all sizes") if family == "sdxl" else ("",)
    if task == "instructed":
        return ("", "other texts", "sizes", "rescaled") if family == "sdxl" else ("",)
    if family == "refiner":
        return ("", "rescaled", "scores", "all told")
    if task == "image-to-image":
        return ("", "texts", "all sizes", "one negative size") if family == "sdxl" else ("", "tiling")
    if task == "inpaint":
        return ("", "texts", "all sizes", "one negative size") if family == "sdxl" else ("",)
    return (*_OF_XL, "tiling along one") if family == "sdxl" else ("", "clip skip", "rescaled", "tiling")


@dataclass(frozen=True)
class Case:
    """One picture, or a batch of them, to be made on both sides."""

    family: str
    task: str
    engine: str
    format: str
    parameters: tuple[tuple[str, Any], ...]

    @property
    def source(self) -> str:
        """The checkpoint, whichever its format and engine."""
        return f"{self.family}-{EDITING[self.task][0]}" if self.task in EDITING else self.family

    @property
    def checkpoint(self) -> str:
        """What it is served as."""
        file = "-file" if self.format == "single file" else ""
        return self.source + file + ("-torch" if self.engine == "torch" else "")

    @property
    def name(self) -> str:
        """What pytest calls it."""
        values = "-".join(str(value).replace(" ", "") or "none" for _, value in self.parameters)
        return f"{self.checkpoint}-{self.task}-{values}"


def is_possible(family: str, task: str, form: str, values: Values) -> bool:
    """Whether diffusers makes a picture of it at all: its PNDM fails at a zero terminal SNR, and no base knows a score.

    Of what only some know one picture is enough, whatever else it is asked with. That the noise ends so, a file of 2.x
    cannot say.
    """
    if form == "single file" and (family == "sd2zero" or task not in FILED):  # which directories show
        return False
    if values["more"] and (values.get("num_images_per_prompt", 1), values.get("images", "one")) != (1, "one"):
        return False
    if values.get("padding_mask_crop") and (values["images"].startswith("two") or values["mask"] != "disc"):
        return False  # diffusers takes one image for it, and one mask of the same size
    if values.get("padding_mask_crop") and values.get("controls") in ("two", *UNIONS, *HOLES):
        return False  # diffusers takes the list of their pictures for the image, and refuses it; a hole it does not cut
    if values.get("mask") == "discs" and values["images"] == "one":
        return False
    if values.get("controls") in UNIONS and (
        family != "sdxl"
        # At either of which diffusers' pipelines for unions fail.
        or (values["guess_mode"] and values["guidance_scale"] != 1.0)
        or values.get("padding_mask_crop")
    ):
        return False
    if values.get("controls") == "half an adapter" and family != "sdxl":
        return False
    if values["more"] == "scores" and values.get("refiner") == "sdxl":
        return False
    return not (family == "sd2zero" and values["scheduler"] == "pndm")


def every(task: str) -> Iterator[Case]:
    """All values of all axes."""
    for family, engine, form in itertools.product(FAMILIES, ENGINES, FORMATS):
        if family not in ONLY.get(task, FAMILIES) or family in EXCEPT.get(task, ()):
            continue
        for values in _products({**PARAMETERS[task], "more": known(family, task)}):
            if is_possible(family, task, form, values):
                yield Case(family, task, engine, form, tuple(values.items()))


def pairwise(task: str) -> list[Case]:
    """Few of them, in which every two values of two axes meet that can; the same ones each time."""
    return _covering([case for case in every(task) if case.engine != "torch" or case.family in with_torch(case)], 2)


def with_torch(case: Case) -> tuple[str, ...]:
    """The families that torch draws such cases with: one will do where checkpoints are loaded for them alone."""
    return WITH_TORCH[:1] if case.task in EDITING or case.format == "single file" else WITH_TORCH


def threewise(task: str) -> list[Case]:
    """More of them, in which every three values of three axes meet that can."""
    return _covering(list(every(task)), 3)


def _covering(cases: Sequence[Case], together: int) -> list[Case]:
    """The case that brings most of what is missing, again and again; a set of meetings is a bit for each."""
    bits: dict[tuple[Any, ...], int] = {}
    brings = [_bits(_meetings(case, together), bits) for case in cases]
    missing = (1 << len(bits)) - 1
    chosen: list[Case] = []
    # What a case brings never grows, so that only those need counting anew that were best before.
    queue = [(-meetings.bit_count(), number) for number, meetings in enumerate(brings)]
    heapq.heapify(queue)
    while missing:
        _, number = queue[0]
        count = (brings[number] & missing).bit_count()
        heapq.heapreplace(queue, (-count, number))
        if queue[0][1] == number:
            chosen.append(cases[number])
            missing &= ~brings[number]
    return chosen


def _bits(meetings: Iterable[tuple[Any, ...]], bits: dict[tuple[Any, ...], int]) -> int:
    together = 0
    for meeting in meetings:
        together |= 1 << bits.setdefault(meeting, len(bits))
    return together


def _products(axes: Mapping[str, Sequence[Any]]) -> Iterator[Values]:
    for combination in itertools.product(*axes.values()):
        yield dict(zip(axes, combination, strict=True))


def _meetings(case: Case, together: int) -> set[tuple[Any, ...]]:
    """What only some families know need meet no other value than a family's and an engine's: it says what is drawn.

    So need the format, which nothing sees any more once the checkpoint is open.
    """
    whose = [("family", case.family), ("engine", case.engine)]
    more, values = case.parameters[-1], case.parameters[:-1]
    apart = itertools.product(*[whose] * (together - 1), [more, ("format", case.format)])
    return {*itertools.combinations([*whose, *values], together), *apart}
