"""A ControlNet and the UNet that it stands beside, by each engine, against diffusers' modules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel

from tests import tiny
from tests.conftest import CACHE
from tests.session.graphs import fill_cache
from triptych.checkpoint import Checkpoint
from triptych.contract import CONTROLNET, CONTROLNET_HINT, UNET
from triptych.engine import EngineSettings, load_engine
from triptych.engine.conditions import added
from triptych.engine.kept import stacked
from triptych.engine.port import Array, Engine
from triptych.engine.torch.graphs import GraphedModule
from triptych.errors import FailedPreconditionError

GENERATOR = np.random.default_rng(0)
LATENTS, STATES = (GENERATOR.standard_normal(shape).astype(np.float32) for shape in ((2, 4, 9, 12), (2, 77, 32)))
IMAGE = GENERATOR.random((2, 3, 72, 96)).astype(np.float32)
COMMON: dict[str, Array] = {
    "latents": LATENTS, "timestep": np.array([500, 20], np.float32), "encoder_hidden_states": STATES,
}  # fmt: skip
SCALE = 0.7


@pytest.fixture(scope="module")
def folder(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tiny.save_controlnet(tmp_path_factory.mktemp("controlnets") / "net", checkpoints["sd1"])
    fill_cache(CACHE, [checkpoints["sd1"], path])
    return path


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
@pytest.mark.parametrize("pools", [False, True])
def test_residuals_and_what_the_unet_makes_of_them(
    checkpoints: dict[str, Path], folder: Path, tmp_path: Path, engine: str, pools: bool
) -> None:
    if pools:
        folder = tiny.save_controlnet(tmp_path / "pooling", checkpoints["sd1"], global_pool_conditions=True)
    settings = EngineSettings(2, CACHE)
    net, unet = Checkpoint.open(folder), Checkpoint.open(checkpoints["sd1"]).components[UNET.name]
    hint = load_engine(engine, net.components[CONTROLNET_HINT], settings).infer({"image": IMAGE})
    count = 1 + len(ControlNetModel.from_pretrained(folder).controlnet_down_blocks)
    scales = np.full((2, count), SCALE, np.float32)
    controlnet = load_engine(engine, net.components[CONTROLNET], settings)
    residuals = controlnet.infer(COMMON | hint | {"scales": scales})
    whole = load_engine(engine, unet, settings)
    ours = whole.infer(COMMON | added([residuals, residuals]))["noise_pred"]
    np.testing.assert_allclose(ours, theirs(checkpoints["sd1"], folder), atol=2e-5, rtol=1e-4)
    plain = whole.infer(COMMON)["noise_pred"]
    assert np.abs(plain - ours).max() > 0.01
    nothing = {name: np.zeros_like(array) for name, array in residuals.items()}
    np.testing.assert_allclose(whole.infer(COMMON | nothing)["noise_pred"], plain, atol=1e-5)


@pytest.mark.parametrize(
    ("engine", "device", "precision"),
    [
        ("onnxruntime", "cpu", "fp32"),
        ("torch", "cpu", "fp32"),
        pytest.param("torch", "cuda:0", "fp32", marks=pytest.mark.cuda),
        pytest.param("torch", "cuda:0", "fp16", marks=pytest.mark.cuda),
    ],
)
def test_what_stays_where_it_was_made_does_the_same(
    checkpoints: dict[str, Path], folder: Path, engine: str, device: str, precision: str
) -> None:
    if device != "cpu" and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    settings = EngineSettings(2, CACHE, device, precision)
    net, unet = Checkpoint.open(folder), Checkpoint.open(checkpoints["sd1"]).components[UNET.name]
    look, controlnet, whole = (
        load_engine(engine, component, settings)
        for component in (net.components[CONTROLNET_HINT], net.components[CONTROLNET], unet)
    )
    scales = np.full((2, 1 + len(ControlNetModel.from_pretrained(folder).controlnet_down_blocks)), SCALE, np.float32)
    for turn in range(6):  # a GPU's runs are recorded by then
        common = COMMON | {"latents": LATENTS + turn}
        hint = look.infer({"image": IMAGE})
        residuals = controlnet.infer(common | hint | {"scales": scales})
        expected = whole.infer(common | added([residuals, residuals]))["noise_pred"]
        kept_hint = look.infer_kept({"image": IMAGE})
        samples = [array[sample] for array in kept_hint.values() for sample in (0, 1)]
        kept = common | {"hint": stacked(samples), "scales": scales}
        first, second = controlnet.infer_kept(kept), controlnet.infer_kept(kept)
        if engine == "torch":
            assert {array.device.type for array in first.values()} == {device.partition(":")[0]}
        ours = whole.infer(common | added([first, second]))["noise_pred"]
        np.testing.assert_allclose(ours, expected, atol=1e-5 if precision == "fp32" else 1e-2)
    if device != "cpu":
        assert all(isinstance(getattr(each, "_module", None), GraphedModule) for each in (controlnet, whole))


def theirs(checkpoint: Path, folder: Path) -> Array:
    """diffusers', under the ControlNet twice."""
    latents, timestep, states, image = (torch.tensor(array) for array in (*COMMON.values(), IMAGE))
    with torch.no_grad():
        net = ControlNetModel.from_pretrained(folder)
        down, middle = net(latents, timestep, states, image, conditioning_scale=2 * SCALE, return_dict=False)
        unet = UNet2DConditionModel.from_pretrained(checkpoint / "unet")
        more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        prediction: Array = unet(latents, timestep, states, **more).sample.numpy()
    return prediction


def test_an_engine_that_cannot_says_so() -> None:
    class Plain(Engine):
        load = infer = refit = None  # type: ignore[assignment]

    with pytest.raises(FailedPreconditionError, match="takes no ControlNet; register the checkpoint with"):
        Plain.prepare_residuals(None)  # type: ignore[arg-type]
