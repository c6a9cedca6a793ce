"""A T2I-Adapter and the UNet that takes its features, by each engine, against diffusers' modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import T2IAdapter, UNet2DConditionModel

from tests import tiny
from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint
from triptych.contract import T2I_ADAPTER, UNET
from triptych.engine import EngineSettings, load_engine
from triptych.engine.conditions import residual_names
from triptych.engine.port import Array

GENERATOR = np.random.default_rng(0)
ADAPTERS: Mapping[str, tuple[str, Mapping[str, Any], tuple[int, int]]] = {
    "full": ("sd1", {"adapter_type": "full_adapter", "channels": [16, 32], "downscale_factor": 8}, (9, 12)),
    "light": ("sd1", {"adapter_type": "light_adapter", "channels": [16], "downscale_factor": 8}, (9, 12)),
    "grey": (
        "sd1",
        {"adapter_type": "full_adapter", "channels": [16, 32], "downscale_factor": 8, "in_channels": 1},
        (8, 8),
    ),
    "xl": ("sdxl", {"num_res_blocks": 2}, (10, 14)),
}


def inputs(family: str, size: tuple[int, int]) -> dict[str, Array]:
    """Of two samples."""
    shapes = {"latents": (2, 4, *size), "encoder_hidden_states": (2, 77, 80 if family == "sdxl" else 32)}
    if family == "sdxl":
        shapes |= {"text_embeds": (2, 24), "time_ids": (2, 6)}
    drawn = {name: GENERATOR.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return drawn | {"timestep": np.array([500, 20], np.float32)}


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_features_and_what_the_unet_makes_of_them(
    checkpoints: dict[str, Path], tmp_path: Path, engine: str, name: str
) -> None:
    family, config, size = ADAPTERS[name]
    folder = tiny.save_t2i_adapter(tmp_path / "adapter", **{"in_channels": 3, **config})
    settings = EngineSettings(2, CACHE)
    adapter = Checkpoint.open(folder).components[T2I_ADAPTER]
    colours = adapter.architecture.config["in_channels"]
    image = GENERATOR.random((2, colours, 8 * size[0], 8 * size[1])).astype(np.float32)
    features = load_engine(engine, adapter, settings).infer({"image": image})
    with torch.no_grad():
        theirs = T2IAdapter.from_pretrained(folder)(torch.tensor(image))
    for ours, other in zip(features.values(), theirs, strict=True):
        assert other.abs().max() > 0.1
        np.testing.assert_allclose(ours, other.numpy(), atol=2e-5, rtol=1e-4)
    if name == "light":  # which fits no UNet of two blocks whose channels differ
        return
    unet = load_engine(engine, Checkpoint.open(checkpoints[family]).components[UNET.name], settings)
    given = inputs(family, size)
    ours, plain = unet.infer(given | features)["noise_pred"], unet.infer(given)["noise_pred"]
    np.testing.assert_allclose(ours, predicted(checkpoints[family], given, theirs), atol=2e-5, rtol=1e-4)
    assert np.abs(plain - ours).max() > 0.01
    nothing = {each: np.zeros((2, 1, 1, 1), np.float32) for each in features}
    np.testing.assert_allclose(unet.infer(given | nothing)["noise_pred"], plain, atol=1e-5)


def predicted(checkpoint: Path, given: Mapping[str, Array], features: list[torch.Tensor]) -> Array:
    """diffusers'."""
    tensors = {name: torch.tensor(array) for name, array in given.items()}
    added = {name: tensors[name] for name in ("text_embeds", "time_ids") if name in tensors}
    unet = UNet2DConditionModel.from_pretrained(checkpoint / "unet")
    with torch.no_grad():
        prediction: Array = unet(
            tensors["latents"], tensors["timestep"], tensors["encoder_hidden_states"],
            added_cond_kwargs=added or None, down_intrablock_additional_residuals=list(features),
        ).sample.numpy()  # fmt: skip
    return prediction


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_a_control_net_stands_beside_it(checkpoints: dict[str, Path], engine: str) -> None:
    component = Checkpoint.open(checkpoints["sdxl"]).components[UNET.name]
    unet, given = load_engine(engine, component, EngineSettings(2, CACHE)), inputs("sdxl", (8, 8))
    model = UNet2DConditionModel.from_pretrained(checkpoints["sdxl"] / "unet")
    features = [(8, 4), (16, 4), (16, 2), (16, 2)]
    drawn = [GENERATOR.standard_normal((2, width, size, size)).astype(np.float32) for width, size in features]
    channels = [8, 8, 8, 16, 16, 16, 16]
    extents = [8, 8, 4, 4, 2, 2, 2]
    shapes = [(2, width, size, size) for width, size in zip(channels, extents, strict=True)]
    names = residual_names(component.architecture)
    residuals = {
        name: GENERATOR.standard_normal(shape).astype(np.float32) for name, shape in zip(names, shapes, strict=True)
    }
    tensors = {name: torch.tensor(array) for name, array in given.items()}
    *down, middle = (torch.tensor(array) for array in residuals.values())
    with torch.no_grad():
        theirs = model(
            tensors["latents"], tensors["timestep"], tensors["encoder_hidden_states"],
            added_cond_kwargs={name: tensors[name] for name in ("text_embeds", "time_ids")},
            down_intrablock_additional_residuals=[torch.tensor(each) for each in drawn],
            down_block_additional_residuals=tuple(down), mid_block_additional_residual=middle,
        ).sample.numpy()  # fmt: skip
    both = residuals | {f"feature_{place}": array for place, array in enumerate(drawn)}
    np.testing.assert_allclose(unet.infer(given | both)["noise_pred"], theirs, atol=5e-5, rtol=1e-4)
