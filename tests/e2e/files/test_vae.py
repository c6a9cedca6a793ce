"""Another VAE than the checkpoint's own, by a name in the request or by registration: diffusers' pictures with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

import triptych
from tests import tiny
from tests.checkpoint.sources.test_vae_alone import STATISTICS, save_original
from tests.conftest import Served
from tests.e2e.requests.test_parity import TOLERANCE, largest_difference
from tests.e2e.serving import SIZE, difference
from tests.parity.oracle import drawn
from triptych.errors import CheckpointChangedError, InvalidArgumentError, NotFoundError

REQUEST: dict[str, Any] = {
    "prompt": "a jug", "num_inference_steps": 4, "seed": 3, "negative_prompt": "blue", "scheduler": "ddim",
}  # fmt: skip


@pytest.fixture(scope="module")
def vaes(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of `plain`, of `statistics`, of `wide` with more channels, and a `file`, all registered."""
    root = tmp_path_factory.mktemp("vaes")
    paths = {"plain": tiny.save_vae(root / "plain"), "statistics": tiny.save_vae(root / "statistics", **STATISTICS)}
    paths["wide"] = tiny.save_vae(root / "wide", latent_channels=16)
    paths["plain-torch"] = paths["plain"]
    # A file does not say how many groups its norms have, which in the original are 32.
    original = tiny.save_vae(root / "original", block_out_channels=(32, 32, 64, 64), norm_num_groups=32)
    paths["file"] = save_original(root / "original.safetensors", original)
    for name, path in paths.items():
        served.client.register_checkpoint(name, path, engine="torch" if name.endswith("torch") else None)
    yield root
    for name in paths:
        served.client.unregister_checkpoint(name)


def expected(path: Path, vae: Any, **values: Any) -> list[Any]:
    """diffusers' pictures."""
    kind = diffusers.AutoPipelineForImage2Image if "image" in values else diffusers.AutoPipelineForText2Image
    pipe = kind.from_pretrained(path, vae=vae)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    generator = torch.Generator("cpu").manual_seed(values.pop("seed"))
    images: list[Any] = pipe(generator=generator, **{k: v for k, v in values.items() if k != "scheduler"}).images
    assert np.asarray(images[0]).std() > 5
    return images


@pytest.mark.parametrize("begins", [SIZE, {"image": drawn((64, 72), 0), "strength": 0.75}], ids=["text", "image"])
@pytest.mark.parametrize("engine", ["", "-torch"])
@pytest.mark.parametrize(("family", "name"), [("sd1", "plain"), ("sdxl", "plain"), ("sdxl", "statistics")])
def test_by_its_name(
    served: Served,
    checkpoints: dict[str, Path],
    vaes: Path,
    family: str,
    name: str,
    engine: str,
    begins: dict[str, Any],
) -> None:
    vae = name + (engine if name == "plain" else "")
    ours = served.client.generate(checkpoint=family + engine, vae=vae, **REQUEST, **begins)
    theirs = expected(checkpoints[family], diffusers.AutoencoderKL.from_pretrained(vaes / name), **REQUEST, **begins)
    assert largest_difference(ours.images, theirs) <= TOLERANCE
    assert f"VAE: {vae}" in str(ours.images[0].info["parameters"])


@pytest.mark.parametrize(("family", "factor"), [("sd1", 0.18215), ("sdxl", 0.13025)])
def test_a_file_is_scaled_as_what_it_replaces(
    served: Served, checkpoints: dict[str, Path], vaes: Path, family: str, factor: float
) -> None:
    vae = diffusers.AutoencoderKL.from_pretrained(vaes / "original", scaling_factor=factor)
    begins: dict[str, Any] = {"image": drawn((64, 72), 0), "strength": 0.75}
    theirs = expected(checkpoints[family], vae, **REQUEST, **begins)
    assert vae.config.scaling_factor == factor
    ours = served.client.generate(checkpoint=family, vae="file", **REQUEST, **begins)
    assert largest_difference(ours.images, theirs) <= TOLERANCE
    served.client.register_checkpoint("lent", checkpoints[family], vae=vaes / "original.safetensors", load=True)
    try:
        lent = served.client.generate(checkpoint="lent", **REQUEST, **begins)
        assert difference(lent, ours) == 0
    finally:
        served.client.unregister_checkpoint("lent")


def test_by_registration_and_back(served: Served, checkpoints: dict[str, Path], vaes: Path) -> None:
    client = served.client
    own = client.generate(checkpoint="sd1", **REQUEST, **SIZE)
    other = client.generate(checkpoint="sd1", vae="plain", **REQUEST, **SIZE)
    assert difference(own, other) > 2
    taken = client.register_checkpoint("switched", checkpoints["sd1"], vae=vaes / "plain", load=True)
    try:
        assert taken.vae == str(vaes / "plain")
        assert difference(client.generate(checkpoint="switched", **REQUEST, **SIZE), other) == 0
        assert client.register_checkpoint("switched", checkpoints["sd1"]).vae == str(vaes / "plain")
        assert client.register_checkpoint("switched", checkpoints["sd1"], vae="").vae == ""
        assert difference(client.generate(checkpoint="switched", **REQUEST, **SIZE), own) == 0
    finally:
        client.unregister_checkpoint("switched")


def test_a_vae_that_was_exchanged_is_taken_once_it_is_registered_again(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    client, request = served.client, REQUEST | {"checkpoint": "lent"} | SIZE
    vae = tiny.save_vae(tmp_path / "vae")
    client.register_checkpoint("lent", checkpoints["sd1"], vae=vae, load=True)
    try:
        before = client.generate(**request)
        tiny.replace_weights(vae / "diffusion_pytorch_model.safetensors")
        assert difference(client.generate(**request), before) == 0
        with pytest.raises(CheckpointChangedError, match=f"{vae}/.*: is another file now"):
            client.generate(**request, image=drawn((64, 72), 0))  # for which its encoder is loaded
        assert client.register_checkpoint("lent", checkpoints["sd1"]).vae == str(vae)
        assert difference(client.generate(**request), before) > 2
    finally:
        client.unregister_checkpoint("lent")


def test_a_refiner_decodes_with_it_too(served: Served, vaes: Path) -> None:
    request = REQUEST | {"checkpoint": "sdxl", "refiner_start": 0.5, "vae": "plain", **SIZE}
    refined = served.client.generate(**request, refiner="sdxl")
    assert difference(refined, served.client.generate(**request | {"refiner_start": None})) == 0


def test_one_is_loaded_once_for_all(served: Served, vaes: Path) -> None:
    for checkpoint in ("sd1", "sdxl"):
        served.client.generate(checkpoint=checkpoint, vae="plain", **REQUEST, **SIZE)
    models = [model for replica in served.client.server_info().replicas for model in replica.models]
    assert models.count("plain.vae_decoder") == 1


@pytest.mark.parametrize(
    ("changed", "error", "field", "problem"),
    [
        ({"vae": "nobody"}, NotFoundError, "vae", "'nobody' is not registered"),
        ({"vae": "sd2"}, InvalidArgumentError, "vae", "'sd2' is no VAE alone but Stable Diffusion 1.x and 2.x"),
        ({"vae": "wide"}, InvalidArgumentError, "vae", "'wide' has latent_channels 16, and the checkpoint 4"),
        ({"checkpoint": "plain"}, InvalidArgumentError, "checkpoint", "'plain' is a VAE alone; name it as vae"),
        ({"checkpoint": "sdxl", "refiner": "plain"}, InvalidArgumentError, "refiner", "'plain' is a VAE alone"),
    ],
)
def test_what_is_wrong_is_named(
    served: Served, vaes: Path, changed: dict[str, Any], error: type[triptych.TriptychError], field: str, problem: str
) -> None:
    with pytest.raises(error, match=f"^{field}: {problem}") as caught:
        served.client.generate(**REQUEST | {"checkpoint": "sd1", **SIZE} | changed)
    assert caught.value.metadata["field"] == field
