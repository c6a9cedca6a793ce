"""Upscalers of all kinds and namings, beside what their tensors are to make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests import upscalers
from tests.conftest import CACHE
from tests.upscalers import Tensors, as_first_written, as_sequence, compact, compact_forward, rrdb, rrdb_forward
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.upscalers import pixels_together, upscale_factor
from triptych.contract import UPSCALER
from triptych.engine import EngineSettings, load_engine
from triptych.errors import CheckpointInvalidError, FailedPreconditionError
from triptych_vae.upscaling import UpscalerModel

SETTINGS = EngineSettings(threads=2, cache_dir=CACHE)
# Tensors as they are saved, and as the reference has them; the factor.
KINDS: dict[str, tuple[Tensors, Tensors, int]] = {
    "today": (rrdb(), rrdb(), 4),
    "two-side-by-side": (rrdb(2, unshuffled=True), rrdb(2, unshuffled=True), 2),
    "one-side-by-side": (rrdb(1, unshuffled=True), rrdb(1, unshuffled=True), 1),
    "first-written": (as_first_written(rrdb()), rrdb(), 4),
    "sequence": (as_sequence(rrdb()), rrdb(), 4),
    "sequence-of-two": (as_sequence(rrdb(2)), rrdb(2), 2),
    "sequence-of-one": (as_sequence(rrdb(1)), rrdb(1), 1),
    "compact": (compact(), compact(), 4),
}


def pixels(height: int = 12, width: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)


def save(folder: Path, tensors: Tensors, name: str = "upscaler.safetensors") -> Path:
    save_file(tensors, folder / name)
    return folder / name


# Each is exported once; the other kinds differ from these in names and numbers alone.
EXPORTED = ("today", "two-side-by-side", "compact")


@pytest.mark.parametrize(
    ("kind", "engine"), [*((kind, "torch") for kind in KINDS), *((kind, "onnxruntime") for kind in EXPORTED)]
)
def test_as_its_tensors_are_to_make_it(tmp_path: Path, kind: str, engine: str) -> None:
    saved, reference, factor = KINDS[kind]
    checkpoint = Checkpoint.open(save(tmp_path, saved))
    model = UpscalerModel()
    model.component = checkpoint.components[UPSCALER.name]
    assert upscale_factor(model.component.architecture) == factor and not checkpoint.family.draws
    model.engine = load_engine(engine, model.component, SETTINGS)
    ours = model.run(model.prepare({"image": pixels()}))["sample"]
    image = torch.from_numpy(pixels()).permute(0, 3, 1, 2).float() / 255
    theirs = (compact_forward if kind == "compact" else rrdb_forward)(reference, image)
    assert ours.shape == (1, 3, 12 * factor, 20 * factor)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize("key", ["params_ema", "params", None])
def test_a_file_of_torchs(tmp_path: Path, key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As trainings write it: the averaged weights count where both are there."""
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    whole = {key: rrdb(), "params": rrdb(seed=5)} if key == "params_ema" else {key: rrdb()} if key else rrdb()
    torch.save(whole, tmp_path / "upscaler.pth")
    component = Checkpoint.open(tmp_path / "upscaler.pth").components[UPSCALER.name]
    ours = load_engine("torch", component, SETTINGS).infer({"image": np.full((1, 3, 8, 8), 0.5, np.float32)})["sample"]
    theirs = rrdb_forward(rrdb(), torch.full((1, 3, 8, 8), 0.5))
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_pictures_that_cannot_be_laid_side_by_side(tmp_path: Path) -> None:
    model = UpscalerModel()
    model.component = Checkpoint.open(save(tmp_path, rrdb(2, unshuffled=True))).components[UPSCALER.name]
    assert pixels_together(model.component.architecture) == 2
    with pytest.raises(Exception, match="multiples of 2"):
        model.prepare({"image": pixels(13, 20)})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"body.0.rdb1.conv1x1.weight": torch.zeros(1)}, "ESRGAN\\+"),
        ({"conv_first.weight": torch.zeros(8, 5, 3, 3)}, "5 channels"),
        ({"conv_up1.weight": torch.zeros(32, 8, 3, 3)}, "conv_up1"),
        ({"body.1.rdb3.conv5.bias": None}, "lack body.1.rdb3.conv5.bias"),
    ],
    ids=["plus", "channels", "shape", "missing"],
)
def test_others_are_refused(tmp_path: Path, changes: dict[str, torch.Tensor | None], problem: str) -> None:
    tensors = {name: tensor for name, tensor in (rrdb() | changes).items() if tensor is not None}
    with pytest.raises(CheckpointInvalidError, match=problem):
        load_engine("torch", Checkpoint.open(save(tmp_path, tensors)).components[UPSCALER.name], SETTINGS)


def test_tensorrt_takes_none(tmp_path: Path) -> None:
    component = Checkpoint.open(save(tmp_path, upscalers.rrdb())).components[UPSCALER.name]
    with pytest.raises(FailedPreconditionError, match="engine torch or onnxruntime"):
        load_engine("tensorrt", component, SETTINGS)
