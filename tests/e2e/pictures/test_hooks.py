"""What an operator has done to pictures: those that the safety checker finds are black, all others are marked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

import triptych
from tests import tiny
from tests.conftest import Served
from tests.e2e.serving import Orchestrator, orchestrator, value
from triptych.cli.main import main
from triptych.errors import CheckpointInvalidError
from triptych.sdk.events import Result, Step
from triptych.sdk.reading.settling import read_request

SEEDS = [1, 2, 3, 4]
SIZE = {"width": 256, "height": 256}
REQUEST: dict[str, Any] = {"prompt": "a red circle", "num_inference_steps": 2, "num_images_per_prompt": 4, **SIZE}
TEXT = "ACME ü"


@dataclass(frozen=True)
class Checked:
    """An orchestrator that checks and marks, and the checkpoint that it serves with either engine."""

    server: Orchestrator
    client: triptych.Client
    folder: Path


def diffusers_pictures(folder: Path) -> tuple[list[Any], list[bool]]:
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in SEEDS]
    made = pipeline(generator=generators, **REQUEST)
    return made.images, made.nsfw_content_detected


def between(folder: Path) -> float:
    """A threshold of the first concept that two pictures of four lie above, by the likenesses that diffusers finds."""
    pictures, _ = diffusers_pictures(folder)
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    checker = pipeline.safety_checker
    with torch.no_grad():
        pixels = pipeline.feature_extractor(pictures, return_tensors="pt").pixel_values
        embeds = checker.visual_projection(checker.vision_model(pixels).pooler_output)
        likenesses = torch.cosine_similarity(embeds, checker.concept_embeds[:1]).sort().values
    assert likenesses[2] - likenesses[1] > 0.002  # scores are rounded to three decimals
    return float(likenesses[1:3].mean())


@pytest.fixture(scope="module")
def checked(
    served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Checked]:
    root = tmp_path_factory.mktemp("hooks")
    folder = tiny.add_safety_checker(Path(shutil.copytree(checkpoints["sd1"], root / "checked")))
    tiny.add_safety_checker(folder, concept_0=between(folder))
    arguments = ("--safety-checker", "checkpoint", "--watermark", TEXT, "--checkpoint", f"checked={folder}")
    with orchestrator(served, root, *arguments) as server, triptych.Client(server.address) as client:
        client.register_checkpoint("checked-torch", folder, engine="torch")
        yield Checked(server, client, folder)


@pytest.mark.parametrize("name", ["checked", "checked-torch"])
def test_what_diffusers_finds_is_black_and_all_else_is_its_picture(checked: Checked, name: str) -> None:
    before = value(checked.server.metrics, "triptych_flagged_pictures_total", checkpoint=name)
    events = list(checked.client.stream(checkpoint=name, seed=SEEDS, preview_every_steps=1, **REQUEST))
    result = events[-1]
    assert isinstance(result, Result)
    theirs, flags = diffusers_pictures(checked.folder)
    assert sorted(flags) == [False, False, True, True] and result.nsfw_content_detected == flags
    assert result.watermarked == [not flag for flag in flags]
    for ours, other, flag in zip(result.images, theirs, flags, strict=True):
        difference = np.abs(np.asarray(ours, np.int16) - np.asarray(other, np.int16)).max(axis=-1)
        assert not np.asarray(ours).any() if flag else (difference > 2).mean() <= 4 / 64  # the mark's pixels
        assert triptych.read_watermark(ours) == ("" if flag else TEXT)
    assert "2 of 4 pictures may not be safe for work and came back black; another prompt or seed may help" in (
        result.warnings
    )
    assert all(event.preview is None for event in events if isinstance(event, Step))
    assert any("no previews" in warning for warning in result.warnings)
    assert value(checked.server.metrics, "triptych_flagged_pictures_total", checkpoint=name) == before + 2


def test_the_server_says_so_and_pictures_are_verified(checked: Checked, served: Served, tmp_path: Path) -> None:
    assert checked.client.server_info().hooks == ["safety_checker", "watermark"]
    assert served.client.server_info().hooks == []
    result = checked.client.generate(checkpoint="checked", seed=SEEDS, image_format="jpeg", quality=90, **REQUEST)
    for index, file in enumerate(result.files):
        (tmp_path / f"{index}.jpg").write_bytes(file)
        assert triptych.read_watermark(file) == (TEXT if result.watermarked[index] else "")
    names = [str(path) for path in sorted(tmp_path.iterdir())]
    assert main(["verify", "--address", checked.server.address, *names]) == 0
    made_of = read_request(result.files[0]).made_of
    assert made_of["orchestrator"]["watermark"] == TEXT and "checked.safety_checker" in made_of["models"]
    assert made_of["checkpoints"]["checked"]["safety_checker"]


def test_without_hooks_the_same_checkpoint_has_the_same_hash_and_no_checker(checked: Checked, served: Served) -> None:
    served.client.register_checkpoint("unchecked", checked.folder)
    try:
        plain = served.client.generate(checkpoint="unchecked", seed=SEEDS, **REQUEST)
    finally:
        served.client.unregister_checkpoint("unchecked")
    assert plain.nsfw_content_detected is None and plain.watermarked == [False] * 4
    there = checked.client.generate(checkpoint="checked", seed=SEEDS, **REQUEST)
    ours, theirs = (read_request(each.files[0]).made_of["checkpoints"] for each in (plain, there))
    wanted = {name: digest for name, digest in theirs["checked"].items() if name != "safety_checker"}
    assert ours["unchecked"] == wanted


def test_a_checkpoint_without_a_checker_is_refused_when_it_is_registered(
    checked: Checked, checkpoints: dict[str, Path]
) -> None:
    for name in ("sd2", "sdxl"):
        with pytest.raises(CheckpointInvalidError, match=r"model_index.json: it has no safety_checker"):
            checked.client.register_checkpoint(name, checkpoints[name])
    assert {each.name for each in checked.client.checkpoints()} == {"checked", "checked-torch"}


def test_small_pictures_are_checked_and_said_not_to_be_marked(checked: Checked) -> None:
    result = checked.client.generate("a circle", checkpoint="checked", num_inference_steps=1, width=64, height=64)
    assert result.nsfw_content_detected is not None and result.watermarked == [False]
    is_black = result.nsfw_content_detected[0]
    assert is_black or any("hold no watermark" in warning for warning in result.warnings)
