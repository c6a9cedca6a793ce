"""The safety checker beside diffusers' own: what it is shown, how it scores, what it makes of that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPImageProcessorPil

from tests import tiny
from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.sources.feature_extractor import FeatureExtractor
from triptych.contract import SAFETY_CHECKER
from triptych.engine import EngineSettings, load_engine
from triptych.errors import CheckpointInvalidError, InvalidArgumentError
from triptych.stage import NOT_FINITE
from triptych_vae.safety import SafetyCheckerModel, judged

SIZES = [(64, 64), (512, 300), (300, 512), (1, 17), (224, 224), (225, 449), (31, 700)]
EXTRACTORS: dict[str, dict[str, Any]] = {
    "CLIP's": {},
    "as it was written once": {"size": 224, "crop_size": 224, "feature_extractor_type": "CLIPFeatureExtractor"},
    "larger than it": {"size": {"shortest_edge": 100}, "resample": 2},
    "odd": {"size": {"height": 97, "width": 301}, "crop_size": {"height": 225, "width": 99}},
    "no crop": {"size": {"height": 33, "width": 44}, "do_center_crop": False, "resample": 1},
    "little else": {"do_resize": False, "do_normalize": False, "rescale_factor": 0.5},
    "nothing else": {"do_resize": False, "do_rescale": False},
}


def pictures(height: int, width: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a checker that finds some of SIZES and not others."""
    copy = tmp_path_factory.mktemp("safety") / "sd1"
    shutil.copytree(checkpoints["sd1"], copy)
    return tiny.add_safety_checker(copy, concept_3=0.0, concept_7=0.125, special_1=0.0)


def opened(folder: Path) -> Checkpoint:
    return Checkpoint.open(folder, optional=[SAFETY_CHECKER.name])


@pytest.mark.parametrize("name", EXTRACTORS)
def test_pictures_are_prepared_bit_by_bit_as_by_the_feature_extractor(name: str, tmp_path: Path) -> None:
    CLIPImageProcessorPil(**EXTRACTORS[name]).save_pretrained(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    told = json.loads(file.read_text()) | EXTRACTORS[name]
    extractor, theirs = FeatureExtractor.of(file, told), CLIPImageProcessorPil.from_pretrained(tmp_path)
    for size in SIZES:
        (pixels,) = pictures(*size)
        wanted = theirs(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
        assert np.array_equal(extractor.values(pixels), wanted)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_flags_are_diffusers(folder: Path, engine: str) -> None:
    model = SafetyCheckerModel()
    model.component = opened(folder).components[SAFETY_CHECKER.name]
    model.engine = load_engine(engine, model.component, EngineSettings(2, CACHE))
    theirs = StableDiffusionSafetyChecker.from_pretrained(folder / "safety_checker")
    found = []
    for size in SIZES:
        batch = model.prepare({"image": pictures(*size, count=3)})
        outputs = model.run(batch)
        black, wanted = theirs(clip_input=torch.from_numpy(batch["image"]), images=[np.ones((1, 1, 3))] * 3)
        assert outputs["nsfw"][:, 0].astype(bool).tolist() == wanted
        assert [bool((each == 0).all()) for each in black] == wanted and not outputs[NOT_FINITE].any()
        found += wanted
    assert 0 < sum(found) < len(found)


def test_what_is_special_is_judged_more_strictly_and_scores_are_rounded() -> None:
    special = np.array([[-1, 0.0004, -1], [-1, 0.0006, -1], [-1, -1, -1], [-1, -1, -1]], np.float32)
    concepts = np.array([[-0.009, -1], [-0.009, -1], [-1, 0.0006], [-1, 0.0004]], np.float32)
    flags = judged({"special_scores": special, "concept_scores": concepts})
    assert flags.tolist() == [False, True, True, False]


def test_what_no_number_comes_of_is_not_shown(folder: Path) -> None:
    class Broken:
        def infer(self, inputs: object) -> dict[str, np.ndarray]:
            scores = np.full((2, 3), -1, np.float32)
            scores[1, 0] = np.nan
            return {"special_scores": np.full((2, 3), -1, np.float32), "concept_scores": scores}

    model = SafetyCheckerModel()
    model.component, model.engine = opened(folder).components[SAFETY_CHECKER.name], Broken()  # type: ignore[assignment]
    outputs = model.run(model.prepare({"image": pictures(8, 8, count=2)}))
    assert outputs["nsfw"].tolist() == [[0], [1]] and outputs[NOT_FINITE].tolist() == [False, True]
    with pytest.raises(InvalidArgumentError, match="image: is 8 x 8 x 1, must be RGB"):
        model.prepare({"image": pictures(8, 8)[..., :1]})


@pytest.mark.parametrize(
    ("file", "told", "problem"),
    [
        ("model_index.json", {"safety_checker": [None, None]}, "it has no safety_checker, which this server wants"),
        ("model_index.json", {"safety_checker": ["a", "Other"]}, "must be a StableDiffusionSafetyChecker, not"),
        ("safety_checker/config.json", {"vision_config": []}, "vision_config must be an object"),
        ("safety_checker/config.json", {"projection_dim": 23}, "asks for visual_projection.weight"),
        ("feature_extractor/preprocessor_config.json", {"size": {"longest_edge": 3}}, "size must be a number"),
        ("feature_extractor/preprocessor_config.json", {"crop_size": 225}, "image_size 224 is not what"),
        ("feature_extractor/preprocessor_config.json", {"image_std": [0, 1, 1]}, "image_std must be 3 numbers"),
        ("feature_extractor/preprocessor_config.json", {"resample": 6}, "resample must be a whole number from 0 to 5"),
    ],
)
def test_a_broken_one_is_named_where_it_is_wanted_and_passed_over_elsewhere(
    folder: Path, tmp_path: Path, file: str, told: dict[str, Any], problem: str
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    tiny.update(copy / file, **told)
    with pytest.raises(CheckpointInvalidError, match=problem):
        opened(copy)
    assert SAFETY_CHECKER.name not in Checkpoint.open(copy).components


def test_a_family_without_any_is_refused_by_name(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(CheckpointInvalidError, match=r"model_index.json: it has no safety_checker"):
        opened(checkpoints["sdxl"])


def test_one_as_the_hub_has_it(folder: Path, tmp_path: Path) -> None:
    """With one more model around the vision model, and its configuration there twice."""
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights = copy / "safety_checker" / "model.safetensors"
    renamed = {
        name.replace("vision_model.", "vision_model.vision_model.", 1): tensor
        for name, tensor in load_file(weights).items()
    }
    save_file(renamed, weights, {"format": "pt"})
    config = copy / "safety_checker" / "config.json"
    vision = json.loads(config.read_text())["vision_config"]
    tiny.update(config, vision_config={"hidden_size": 1}, vision_config_dict=vision)
    first, second = (opened(each).components[SAFETY_CHECKER.name] for each in (folder, copy))
    assert first.architecture == second.architecture and first.weights.keys() == second.weights.keys()
