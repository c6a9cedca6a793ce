"""Score a checkpoint: paint captions it was never trained on, and read the pictures with the detector."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from PIL import Image

from triptych_training.detect import Finding, Found, find_objects
from triptych_training.drawing import POSITIONS, Object, Scene
from triptych_training.scenes import held_out_scenes, plain_caption

logger = logging.getLogger(__name__)

BATCH_SIZE: Final = 20
SEED: Final = 2024


@dataclass(frozen=True)
class Sampling:
    """How pictures are painted; a guidance of 7.5 overdoes the colours of so small a network."""

    steps: int = 20
    guidance_scale: float = 5.0
    size: int = 128


@dataclass(frozen=True)
class Score:
    """Percentages over ``count`` scenes; ``colours`` counts pictures with every colour right."""

    count: int
    colours: float
    shapes: float
    backgrounds: float
    mistakes: tuple[str, ...]


def score_checkpoint(folder: Path, count: int, sampling: Sampling, object_count: int = 1) -> Score:
    """Paint ``count`` held-out scenes with the checkpoint in ``folder`` and judge them."""
    scenes = held_out_scenes(count, SEED, object_count)
    pictures = paint(load_pipeline(folder), [plain_caption(scene) for scene in scenes], sampling)
    return judge(scenes, pictures)


def load_pipeline(folder: Path) -> Any:
    """Return the checkpoint in ``folder`` as a diffusers pipeline in float32."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder).to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def paint(
    pipeline: Any, captions: list[str], sampling: Sampling, hints: list[Image.Image] | None = None
) -> NDArray[np.uint8]:
    """Paint ``captions`` in batches, each under its hint where there are any: (count, height, width, 3)."""
    pictures = []
    for first in range(0, len(captions), BATCH_SIZE):
        batch = captions[first : first + BATCH_SIZE]
        painted = pipeline(
            batch,
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance_scale,
            width=sampling.size,
            height=sampling.size,
            generator=[torch.Generator().manual_seed(SEED + first + index) for index in range(len(batch))],
            output_type="np",
            **({} if hints is None else {"image": hints[first : first + BATCH_SIZE]}),
        ).images
        pictures.append(np.rint(painted * 255.0).astype(np.uint8))
        logger.info("painted %d of %d", first + len(batch), len(captions))
    return np.concatenate(pictures)


def judge(scenes: list[Scene], pictures: NDArray[np.uint8]) -> Score:
    """Compare ``scenes`` with what the detector finds in their pictures."""
    colours = shapes = backgrounds = 0
    mistakes = []
    for scene, picture in zip(scenes, pictures, strict=True):
        finding = find_objects(picture)
        found = _match(scene, finding)
        background = finding.background == scene.background
        colour = background and all(
            one is not None and one.colour == wanted.colour for wanted, one in zip(scene.objects, found, strict=True)
        )
        shape = all(
            one is not None and one.shape == wanted.shape for wanted, one in zip(scene.objects, found, strict=True)
        )
        backgrounds += background
        colours += colour
        shapes += shape
        if not (colour and shape):
            seen = ", ".join(f"{one.colour} {one.shape}" for one in finding.objects) or "nothing"
            mistakes.append(f"{plain_caption(scene)}: {seen} on {finding.background}")
    percent = 100.0 / len(scenes)
    return Score(len(scenes), colours * percent, shapes * percent, backgrounds * percent, tuple(mistakes))


def save_sheet(pictures: NDArray[np.uint8], path: Path, columns: int = 10) -> None:
    """Write ``pictures`` side by side into one PNG."""
    starts = range(0, len(pictures) - columns + 1, columns)
    rows = [np.concatenate(list(pictures[start : start + columns]), axis=1) for start in starts]
    Image.fromarray(np.concatenate(rows)).save(path)


def _match(scene: Scene, finding: Finding) -> list[Found | None]:
    """Pair every object of ``scene`` with the found object nearest to its place, each used once."""
    left = list(finding.objects)
    matched: list[Found | None] = []
    for wanted in scene.objects:
        if len(scene.objects) == 1 or not left:
            matched.append(left[0] if left else None)
            continue
        nearest = min(left, key=lambda one: _distance(wanted, one))
        left.remove(nearest)
        matched.append(nearest)
    return matched


def _distance(wanted: Object, found: Found) -> float:
    x, y = POSITIONS[wanted.position]
    return (x - found.centre[0]) ** 2 + (y - found.centre[1]) ** 2
