"""A ControlNet begins as nothing, learns while the UNet stays, goes on where it stopped, and is a diffusers folder."""

from pathlib import Path

import pytest

pytest.importorskip("cv2")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import torch
from diffusers import ControlNetModel
from torch import Tensor, nn

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych_training.controlnet import BYTES_LIMIT, save_controlnet
from triptych_training.snapshots import load_snapshot
from triptych_training.trainers import controlnet as trainer
from triptych_training.trainers.controlnet import make_controlnet, train_controlnet, vary_lines
from triptych_training.trainers.lora import load_networks


@pytest.fixture(scope="module")
def networks() -> nn.ModuleDict:
    return load_networks(demo.checkpoint_path())


def test_a_fresh_one_adds_nothing_and_only_it_learns(networks: nn.ModuleDict) -> None:
    controlnet = make_controlnet(networks["unet"])
    inputs = torch.randn(1, 4, 16, 16), torch.tensor([500]), torch.randn(1, 77, 128)
    down, middle = controlnet(*inputs, torch.rand(1, 3, 128, 128), return_dict=False)
    assert not any(residual.any() for residual in (*down, middle))
    steered = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    torch.autograd.backward(networks["unet"](*inputs, **steered).sample.square().mean())
    assert all(parameter.grad is None for parameter in networks.parameters())
    assert all(layer.weight.grad.any() for layer in controlnet.controlnet_down_blocks)


def test_it_trains_goes_on_and_is_read_by_diffusers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "EXAMPLE_COUNT", 4)
    train_controlnet(demo.checkpoint_path(), tmp_path, budget_s=0.3)
    first = load_snapshot(tmp_path / "controlnet.snapshot.pt")
    assert first is not None
    trained = train_controlnet(demo.checkpoint_path(), tmp_path, budget_s=first["used_s"] + 0.3)
    second = load_snapshot(tmp_path / "controlnet.snapshot.pt")
    assert second is not None
    assert second["step"] > first["step"] > 0
    size_bytes = save_controlnet(trained, tmp_path / "canny")
    assert 1_000_000 < size_bytes < BYTES_LIMIT
    read = ControlNetModel.from_pretrained(tmp_path / "canny")
    assert all(
        torch.equal(one, other.half()) for one, other in zip(read.parameters(), trained.parameters(), strict=True)
    )


def test_lines_vary_and_stay_where_they_are() -> None:
    torch.manual_seed(0)
    outlines = torch.zeros(64, 1, 9, 9)
    outlines[:, :, 4] = 1.0
    varied: Tensor = vary_lines(outlines)
    assert {round(float(value), 2) for value in varied[:, 0, 4, 4]} == {1.0, 0.33}
    assert not varied[:, 0, :3].any() and not varied[:, 0, 6:].any()


def test_the_shipped_one_is_a_small_controlnet() -> None:
    assert list(demo.controlnet_paths()) == ["canny"]
    folder = demo.controlnet_paths()["canny"]
    assert sum(file.stat().st_size for file in folder.iterdir()) < BYTES_LIMIT
    assert Checkpoint.open(folder).family.name == "controlnet"
