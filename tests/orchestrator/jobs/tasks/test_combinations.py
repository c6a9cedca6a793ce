"""Fields about pictures, thousands of ways together: refused by a field's name, or a plan that holds together."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tests import tiny
from tests.fuzzing import fuzzed
from triptych.checkpoint import Checkpoint
from triptych.contract import VAE_ENCODER
from triptych.errors import InvalidArgumentError
from triptych.v1.generation_pb2 import GenerateRequest
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.tasks.enlarging import Enlargement
from triptych_orchestrator.jobs.tasks.hires import AskedHires
from triptych_orchestrator.jobs.tasks.inpainting import InpaintAsked
from triptych_orchestrator.jobs.tasks.upscaling import AskedUpscale
from triptych_orchestrator.jobs.tasks.variations import AskedVariation
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.pipeline.plan import FromBefore, models_of, plan_of
from triptych_orchestrator.pixels.borders import Sides
from triptych_orchestrator.settings import Limits

EDITING = {
    "pix2pix": ("sd1", "StableDiffusionInstructPix2PixPipeline", 8),
    "inpaint": ("sd1", "StableDiffusionInpaintPipeline", 9),
    "sdxl-pix2pix": ("sdxl", "StableDiffusionXLInstructPix2PixPipeline", 8),
}
NAN = float("nan")
# What is asked for, the first being nothing of it.
AXES: Mapping[str, Sequence[Any]] = {
    "images": ((), (b"",), (b"", b"")),
    "inpaint": (
        InpaintAsked(),
        InpaintAsked((b"",)),
        InpaintAsked((b"", b"")),
        InpaintAsked((b"",), padding_mask_crop=4, masked_content="fill"),
        InpaintAsked(mask_blur=4),
        InpaintAsked((b"",), masked_content="latent_noise", invert_mask=True, paste_original=False),
        InpaintAsked(expand=Sides(8, 0, 16, 0)),
        InpaintAsked((b"",), expand=Sides(0, 8, 0, 8), expand_fill="noise", padding_mask_crop=3),
    ),
    "strength": (None, 0.5, 1.0, 0.0, NAN),
    "image_guidance_scale": (None, 1.5, 0.5, NAN),
    "hires": (None, AskedHires(), AskedHires(Enlargement(1.5), "latent", 0.5, 4), AskedHires(strength=NAN)),
    "variation": (AskedVariation(), AskedVariation(strength=0.5), AskedVariation(resize_from=(64, 96))),
    "upscale": (None, AskedUpscale(), AskedUpscale(Enlargement(width=30_000))),
    "tiling": ("", "x", "round"),
    "refiner": ("", "sdxl", "refiner", "sdxl-pix2pix"),
    "num_images_per_prompt": (None, 2),
    "width": (None, 72, 7),
    "scheduler": ("", "pndm", "euler"),
}
REALS = ("strength", "image_guidance_scale")
NAMES = ("sd1", "sdxl", "refiner", *EDITING)


@pytest.fixture(scope="module")
def opened(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    root = tmp_path_factory.mktemp("editing")
    paths = {name: checkpoints[name] for name in ("sd1", "sdxl", "refiner")}
    for name, (whole, pipeline, channels) in EDITING.items():
        paths[name] = tiny.save_editing_checkpoint(root / name, checkpoints[whole], pipeline, channels)
    return {name: Checkpoint.open(path) for name, path in paths.items()}


def values_of(field: str) -> st.SearchStrategy[Any]:
    chosen = st.sampled_from(AXES[field][1:])
    return st.one_of(chosen, st.floats()) if field in REALS else chosen


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    """A few fields at once, for of more each would be refused for the first."""
    few = draw(st.lists(st.sampled_from([*AXES]), min_size=1, max_size=5, unique=True))
    values = {field: draw(values_of(field)) for field in few}
    return Asked("a", draw(st.sampled_from(NAMES)), "a fox", num_inference_steps=6, **values)


@pytest.fixture(scope="module")
def seen() -> Iterator[tuple[set[str], set[str]]]:
    """Checkpoints of what was taken, and fields of what was refused: all that there are, in the end."""
    taken, refused = set[str](), set[str]()
    yield taken, refused
    assert taken == {*NAMES}
    fields = {field.split(".")[0] for field in refused}
    assert fields <= {field.name for field in GenerateRequest.DESCRIPTOR.fields}
    assert {"images", "mask_images", "strength", "image_guidance_scale", "hires", "refiner", "expand"} <= fields
    assert {"upscale", "tiling"} <= fields


def check_one(opened: dict[str, Checkpoint], seen: tuple[set[str], set[str]], one: Asked) -> None:
    taken, refused = seen
    refiner = opened[one.refiner] if one.refiner else None
    try:
        job = check(one, opened[one.checkpoint], Limits(), (64, 80) if one.images else None, refiner)
    except InvalidArgumentError as error:
        refused.add(error.metadata["field"])
        assert error.message.startswith(error.metadata["field"])
    else:
        taken.add(one.checkpoint)
        check_plan(job, opened)


test_each_is_refused_by_name_or_makes_a_plan, test_each_of_many_is_so = fuzzed(800, requests())(check_one)


def check_plan(job: Job, opened: Mapping[str, Checkpoint]) -> None:
    """What each pass's UNet sees is there, is what it was trained with, and is as large as the pass."""
    passes = plan_of(job)
    for one in passes:
        editing = opened[one.checkpoint].editing
        assert (one.beside is None) == (editing is None)
        if one.beside:
            told = {field.name: getattr(one.beside, field.name) for field in dataclasses.fields(one.beside)}  # type: ignore[arg-type]
            assert (told["width"], told["height"]) == (one.width, one.height)
            assert VAE_ENCODER.name in models_of(passes)[one.vae]
    for before, after in itertools.pairwise(passes):
        assert not isinstance(after.source, FromBefore) or (before.width, before.height) == (after.width, after.height)
