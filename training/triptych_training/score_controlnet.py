"""Score a ControlNet: paint under outlines it was never trained on, and compare what is there with what was asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from numpy.typing import NDArray
from PIL import Image

from triptych_training.detect import find_objects, foreground
from triptych_training.outlines import Outlined, held_out_examples
from triptych_training.score import SEED, Sampling, load_pipeline, paint

PLACED: Final = 0.7
"""The least intersection over union of the asked and the painted shape that counts as at its place."""


@dataclass(frozen=True)
class ControlScore:
    """Percentages over ``count`` outlines; ``both`` counts pictures with shape and colours right."""

    count: int
    placed: float
    colours: float
    both: float
    mean_overlap: float
    mistakes: tuple[str, ...]


def score_controlnet(checkpoint: Path, folder: Path, count: int, sampling: Sampling) -> ControlScore:
    """Paint under ``count`` held-out outlines with the ControlNet in ``folder`` and judge the pictures."""
    examples = held_out_examples(count, SEED, sampling.size)
    pictures = paint(
        load_controlled(checkpoint, folder),
        [example.caption for example in examples],
        sampling,
        [as_picture(example.outline) for example in examples],
    )
    return judge_outlines(examples, pictures)


def load_controlled(checkpoint: Path, folder: Path) -> Any:
    """Return the checkpoint under the ControlNet in ``folder`` as a diffusers pipeline in float32."""
    controlnet = ControlNetModel.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline = StableDiffusionControlNetPipeline(**load_pipeline(checkpoint).components, controlnet=controlnet)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def as_picture(outline: NDArray[np.uint8]) -> Image.Image:
    """Return an outline (H, W) as what a ControlNet is given."""
    return Image.fromarray(outline).convert("RGB")


def judge_outlines(examples: list[Outlined], pictures: NDArray[np.uint8]) -> ControlScore:
    """Compare ``examples`` with their pictures: (count, height, width, 3)."""
    overlaps = [overlap(one.mask, picture) for one, picture in zip(examples, pictures, strict=True)]
    colours = [_colours_right(one, picture) for one, picture in zip(examples, pictures, strict=True)]
    placed = [share > PLACED for share in overlaps]
    both = [one and other for one, other in zip(placed, colours, strict=True)]
    mistakes = [
        f"{one.caption} ({one.scene.objects[0].shape}): overlap {share:.2f}, {_seen(picture)}"
        for one, share, picture, right in zip(examples, overlaps, pictures, both, strict=True)
        if not right
    ]
    percent = 100.0 / len(examples)
    return ControlScore(
        len(examples),
        sum(placed) * percent,
        sum(colours) * percent,
        sum(both) * percent,
        float(np.mean(overlaps)),
        tuple(mistakes),
    )


def overlap(asked: NDArray[np.bool_], picture: NDArray[np.uint8]) -> float:
    """Intersection over union of where a shape is asked and all that ``picture`` shows before its background."""
    painted = foreground(picture)
    return float((asked & painted).sum() / (asked | painted).sum())


def _colours_right(example: Outlined, picture: NDArray[np.uint8]) -> bool:
    finding = find_objects(picture)
    wanted = example.scene.objects[0].colour
    return finding.background == example.scene.background and bool(
        finding.objects and finding.objects[0].colour == wanted
    )


def _seen(picture: NDArray[np.uint8]) -> str:
    finding = find_objects(picture)
    seen = ", ".join(f"{one.colour} {one.shape}" for one in finding.objects) or "nothing"
    return f"{seen} on {finding.background}"
