"""Single files served in place: the bytes that their folder gives, and diffusers' pictures within rounding."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.conftest import CACHE, Served
from tests.e2e.serving import SIZE, difference
from tests.loras import save_lora
from tests.session.graphs import fill_cache
from tests.single_files import Pair, save_pair

TOLERANCE = 2
PIPELINES: dict[str, Any] = {
    "sd1": diffusers.StableDiffusionPipeline,
    "sd2": diffusers.StableDiffusionPipeline,
    "sdxl": diffusers.StableDiffusionXLPipeline,
}
ASKED: dict[str, Any] = {
    "prompt": "a photo of an astronaut! riding a red fox",
    "negative_prompt": "blurry",
    "num_inference_steps": 4,
    **SIZE,
}


@pytest.fixture(scope="module")
def pairs(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Pair]]:
    """Each kind's, made and served when first asked for, as folder-<name> and single-<name>."""
    root, made = tmp_path_factory.mktemp("pairs"), {}

    def pair(name: str) -> Pair:
        if name not in made:
            made[name] = save_pair(root, name)
            fill_cache(CACHE, [made[name].folder])
            served.client.register_checkpoint(f"folder-{name}", made[name].folder, load=True)
            served.client.register_checkpoint(f"single-{name}", made[name].file, load=True)
        return made[name]

    yield pair
    for name in made:
        served.client.unregister_checkpoint(f"folder-{name}")
        served.client.unregister_checkpoint(f"single-{name}")


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_file_draws_what_its_folder_and_diffusers_draw(
    served: Served, pairs: Callable[[str], Pair], kind: str
) -> None:
    pair = pairs(kind)
    ours = served.client.generate(checkpoint=f"single-{kind}", seed=3, **ASKED)
    folder = served.client.generate(checkpoint=f"folder-{kind}", seed=3, **ASKED)
    assert difference(ours, folder) == 0
    for load in (from_folder, from_single_file):
        pipe = load(PIPELINES[kind], pair)
        pipe.set_progress_bar_config(disable=True)
        theirs = pipe(generator=torch.Generator("cpu").manual_seed(3), **ASKED).images[0]
        assert np.asarray(theirs).std() > 5
        difference_ = np.abs(np.asarray(theirs, np.int16) - np.asarray(ours.images[0], np.int16)).max()
        assert difference_ <= TOLERANCE, load.__name__


def test_loras_are_merged_into_what_is_a_view_of_the_file(
    served: Served, pairs: Callable[[str], Pair], tmp_path: Path
) -> None:
    """Every matrix of all three models: rows of fused ones, and the projection that lies transposed."""
    lora = save_lora(tmp_path / "wash.safetensors", pairs("sdxl").folder)
    served.client.add_lora("single-wash", lora)
    asked = {**ASKED, "seed": 3, "loras": ["single-wash"]}
    ours, folder = (served.client.generate(checkpoint=f"{where}-sdxl", **asked) for where in ("single", "folder"))
    assert difference(ours, folder) == 0
    assert difference(ours, served.client.generate(checkpoint="single-sdxl", seed=3, **ASKED)) > 10
    served.client.remove_lora("single-wash")


def test_a_unet_is_asked_what_it_predicts_where_nothing_else_tells(
    served: Served, pairs: Callable[[str], Pair], tmp_path: Path
) -> None:
    """Only where it is loaded; what is registered counts before, and is kept."""
    tensors = load_file(pairs("sd2").file)
    client, bias = served.client, "model.diffusion_model.out.2.bias"
    for name, value, found in (("noise", 0.5, "epsilon"), ("velocity", -2.0, "v_prediction")):
        save_file(tensors | {bias: np.full(4, value, np.float32)}, tmp_path / f"{name}.safetensors")
        registered = client.register_checkpoint(name, tmp_path / f"{name}.safetensors")
        assert (registered.prediction_type, registered.prediction_told_by) == ("undecided", "")
        loaded = client.load_checkpoint(name)
        assert loaded.prediction_type == found and loaded.prediction_told_by.startswith("one evaluation of its UNet")
        client.generate(checkpoint=name, seed=3, **ASKED)
        other = {"epsilon": "v_prediction", "v_prediction": "epsilon"}[found]
        said = client.register_checkpoint(name, tmp_path / f"{name}.safetensors", prediction_type=other)
        assert (said.prediction_type, said.prediction_told_by, said.state) == (other, "its registration", "loaded")
        kept = client.register_checkpoint(name, tmp_path / f"{name}.safetensors")
        assert kept.prediction_type == other
        again = client.register_checkpoint(name, tmp_path / f"{name}.safetensors", prediction_type="")
        assert again.prediction_type == found
        client.unregister_checkpoint(name)


def from_folder(pipeline: Any, pair: Pair) -> Any:
    return pipeline.from_pretrained(pair.folder)


def from_single_file(pipeline: Any, pair: Pair) -> Any:
    """Offline: the folder's configurations stand for those that it would download."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pipeline.from_single_file(str(pair.file), config=str(pair.folder), local_files_only=True)
