"""A case made on both sides, by diffusers' own pipeline and by the servers, and how far apart they are."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

import triptych
from tests.parity.matrix import Case
from triptych_orchestrator.sampling.schedulers import SCHEDULERS

# Of 255, in any pixel.
TOLERANCE = 2
SEED = 7
PROMPT = "a large red circle"
PIPELINES = {"text-to-image": diffusers.AutoPipelineForText2Image}


def difference(case: Case, client: triptych.Client, checkpoints: Mapping[str, Path]) -> int:
    """The largest of any pixel; 255 where the pictures are not even of one size or number."""
    name = case.family + ("-torch" if case.engine == "torch" else "")
    ours = client.generate(checkpoint=name, seed=SEED, **arguments(case))
    theirs = expected(case, checkpoints[case.family])
    assert np.asarray(theirs[0]).std() > 5  # a picture of one colour would agree with anything
    if [image.size for image in ours.images] != [image.size for image in theirs]:
        return 255
    pairs = zip(ours.images, theirs, strict=True)
    return max(int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max()) for a, b in pairs)


def arguments(case: Case) -> dict[str, Any]:
    """The parameters of a call, by the names that both sides have for them."""
    values = dict(case.parameters)
    width, height = values.pop("size")
    return {"prompt": PROMPT, "width": width, "height": height, **values}


def expected(case: Case, path: Path) -> list[Image.Image]:
    """diffusers' pictures."""
    pipe, values = pipeline(case.task, path), arguments(case)
    own, scheduler = pipe.scheduler, values.pop("scheduler")
    if scheduler:
        info = SCHEDULERS[scheduler]
        pipe.scheduler = getattr(diffusers, info.class_name).from_config(own.config, **info.overrides)
    try:
        images: list[Image.Image] = pipe(generator=torch.Generator("cpu").manual_seed(SEED), **values).images
    finally:
        pipe.scheduler = own
    return images


@functools.cache
def pipeline(task: str, path: Path) -> Any:
    """diffusers' own, loaded once."""
    made = PIPELINES[task].from_pretrained(path, safety_checker=None)
    made.set_progress_bar_config(disable=True)
    return made
