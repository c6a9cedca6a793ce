"""A union ControlNet by each engine, as one type and as several at once, against diffusers' own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ControlNetUnionModel

from tests import tiny
from tests.conftest import CACHE
from tests.session.graphs import fill_cache
from triptych.checkpoint import Checkpoint
from triptych.contract import CONTROLNET, CONTROLNET_HINT
from triptych.engine import EngineSettings, load_engine
from triptych.engine.port import Array

GENERATOR = np.random.default_rng(0)
COMMON: dict[str, Array] = {
    name: GENERATOR.standard_normal(shape).astype(np.float32)
    for name, shape in {
        "latents": (2, 4, 9, 12), "encoder_hidden_states": (2, 77, 80), "text_embeds": (2, 24), "time_ids": (2, 6),
    }.items()
} | {"timestep": np.array([500, 20], np.float32)}  # fmt: skip
IMAGES = GENERATOR.random((2, 3, 72, 96)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tiny.save_union_controlnet(tmp_path_factory.mktemp("controlnets") / "union", checkpoints["sdxl"])
    fill_cache(CACHE, [path])
    return path


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
@pytest.mark.parametrize(("types", "shares"), [([3], [0.7]), ([1, 6], [0.8, 1.3]), ([3, 3], [1.0, 0.0])])
def test_residuals_are_diffusers(folder: Path, engine: str, types: list[int], shares: list[float]) -> None:
    net = Checkpoint.open(folder).components
    settings = EngineSettings(2, CACHE)
    # What the only picture counts for, its residuals are multiplied by; of several each counts by itself.
    inside, outside = (shares, 1.0) if len(types) > 1 else ([1.0], shares[0])
    looks = {"control_type": np.array(types), "share": np.array(inside, np.float32)}
    hints = load_engine(engine, net[CONTROLNET_HINT], settings).infer({"image": IMAGES[: len(types)], **looks})["hint"]
    of_both = {"hint": np.stack([hints.sum(axis=0)] * 2), "control_types": np.stack([kinds(types)] * 2)}
    count = len(ControlNetUnionModel.from_pretrained(folder).controlnet_down_blocks) + 1
    scales = {"scales": np.full((2, count), outside, np.float32)}
    ours = load_engine(engine, net[CONTROLNET], settings).infer(COMMON | of_both | scales)
    for mine, others in zip(ours.values(), theirs(folder, types, shares), strict=True):
        assert np.abs(others).max() > 0.1
        np.testing.assert_allclose(mine, others, atol=2e-5, rtol=1e-4)


def kinds(types: list[int]) -> Array:
    row = np.zeros(8, np.float32)
    row[types] = 1
    return row


def theirs(folder: Path, types: list[int], shares: list[float]) -> list[Array]:
    """diffusers' residuals of two samples, which look at the same pictures."""
    inputs = {name: torch.tensor(array) for name, array in COMMON.items()}
    added = {name: inputs.pop(name) for name in ("text_embeds", "time_ids")}
    pictures = [torch.tensor(np.stack([image] * 2)) for image in IMAGES[: len(types)]]
    types_told = torch.tensor(np.stack([kinds(types)] * 2))
    with torch.no_grad():
        down, middle = ControlNetUnionModel.from_pretrained(folder)(
            inputs["latents"], inputs["timestep"], inputs["encoder_hidden_states"], pictures, types_told, types, shares,
            added_cond_kwargs=added, return_dict=False,
        )  # fmt: skip
    return [residual.numpy() for residual in (*down, middle)]
