"""A VAE alone, from a folder or a file: taken as such, or in the place of a checkpoint's own."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from tests import tiny
from tests.single_files import original_vae
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.component import LatentScaling
from triptych.checkpoint.identity.about import about
from triptych.checkpoint.identity.digests import checkpoint_digests
from triptych.checkpoint.safetensors import map_tensor
from triptych.contract import VAE_DECODER, VAE_ENCODER
from triptych.errors import CheckpointInvalidError, InvalidArgumentError

STATISTICS = {"latents_mean": [0.1, -0.2, 0.0, 1.0], "latents_std": [1.0, 2.0, 3.0, -4.5]}


def save_original(path: Path, folder: Path, prefix: str = "") -> Path:
    """The VAE of a folder as one file in the original layout, with what training leaves in such files."""
    tensors = original_vae(AutoencoderKL.from_pretrained(folder))
    named = {f"{prefix}{name}": tensor.contiguous() for name, tensor in tensors.items()}
    save_file(named | {f"{prefix}loss.logvar": torch.zeros(1)}, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_vae(tmp_path_factory.mktemp("vaes") / "vae")


def weights(checkpoint: Checkpoint) -> dict[str, Any]:
    """All of the VAE's, read."""
    maps: dict[Path, Any] = {}
    parts = (checkpoint.components[name] for name in (VAE_DECODER.name, VAE_ENCODER.name))
    return {name: map_tensor(info, maps) for part in parts for name, info in part.weights.items()}


def assert_same(ours: dict[str, Any], folder: Path) -> None:
    theirs = AutoencoderKL.from_pretrained(folder).state_dict()
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name].numpy()).all() for name in ours)


@pytest.mark.parametrize("prefix", [None, "", "first_stage_model."])
def test_a_folder_or_a_file_is_taken_for_what_it_is(folder: Path, tmp_path: Path, prefix: str | None) -> None:
    path = folder if prefix is None else save_original(tmp_path / "vae.safetensors", folder, prefix)
    checkpoint = Checkpoint.open(path)
    assert (checkpoint.family.name, checkpoint.family.draws) == ("autoencoder-kl", False)
    assert (checkpoint.latent_channels, checkpoint.vae_scale_factor, checkpoint.editing) == (4, 8, None)
    assert checkpoint.components.keys() == {"vae_decoder", "vae_encoder"}
    assert_same(weights(checkpoint), folder)
    # Whoever draws with it scales.
    assert {part.latent_scaling for part in checkpoint.components.values()} == {LatentScaling(1.0)}


def test_a_checkpoints_own_folder_of_a_vae_is_one(checkpoints: dict[str, Path]) -> None:
    assert Checkpoint.open(checkpoints["sdxl"] / "vae").family.name == "autoencoder-kl"


def test_a_file_with_a_text_encoder_besides_is_none(folder: Path, tmp_path: Path) -> None:
    tensors = original_vae(AutoencoderKL.from_pretrained(folder))
    path = tmp_path / "x.safetensors"
    named = {f"first_stage_model.{name}": tensor.contiguous() for name, tensor in tensors.items()}
    save_file(named | {"cond_stage_model.transformer.x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointInvalidError):
        Checkpoint.open(path)


@pytest.mark.parametrize(("family", "own"), [("sd1", 0.18215), ("sdxl", 0.13025)])
def test_in_the_place_of_a_checkpoints_own(
    checkpoints: dict[str, Path], folder: Path, tmp_path: Path, family: str, own: float
) -> None:
    """A folder says what its latents are scaled by; for a file it is as with the VAE that it replaces."""
    file = save_original(tmp_path / "vae.safetensors", folder)
    plain = Checkpoint.open(checkpoints[family])
    for path, factor in ((folder, 0.31), (file, own)):
        checkpoint = Checkpoint.open(checkpoints[family], vae=path)
        assert_same(weights(checkpoint), folder)
        assert checkpoint.components["vae_decoder"].latent_scaling == LatentScaling(factor)
        assert checkpoint.components["unet"].weights == plain.components["unet"].weights
        alone = Checkpoint.open(path)
        assert plain.scaling_with(alone) == LatentScaling(factor)
    assert plain.scaling_with(plain) == LatentScaling(own)


def test_another_checkpoint_lends_its_vae(checkpoints: dict[str, Path]) -> None:
    checkpoint = Checkpoint.open(checkpoints["sd1"], vae=checkpoints["sdxl"])
    assert_same(weights(checkpoint), checkpoints["sdxl"] / "vae")
    assert checkpoint.components["vae_decoder"].latent_scaling == LatentScaling(0.13025)


def test_only_xl_heeds_statistics_of_latents(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    alone = Checkpoint.open(tiny.save_vae(tmp_path / "vae", **STATISTICS))
    with_all = LatentScaling(0.31, tuple(STATISTICS["latents_mean"]), tuple(STATISTICS["latents_std"]))
    assert Checkpoint.open(checkpoints["sdxl"]).scaling_with(alone) == with_all
    assert Checkpoint.open(checkpoints["sd1"]).scaling_with(alone) == LatentScaling(0.31)


def test_it_is_told_of_like_a_checkpoint(checkpoints: dict[str, Path], folder: Path, tmp_path: Path) -> None:
    file = save_original(tmp_path / "vae.safetensors", folder)
    told = [about(Checkpoint.open(path)) for path in (folder, file)]
    assert [each.format for each in told] == ["diffusers", "single-file"]
    assert {each.architecture.split()[0] for each in told} == {"8-8-16-16/4"}
    assert {each.purpose for each in told} == {"vae"}
    assert checkpoint_digests(Checkpoint.open(file).source).weights == sha256(file.read_bytes()).hexdigest()
    lent, own = Checkpoint.open(checkpoints["sd1"], vae=file), Checkpoint.open(checkpoints["sd1"])
    assert about(lent) == about(own)
    lent_too = Checkpoint.open(checkpoints["sd1"], vae=folder)
    ours, theirs = checkpoint_digests(lent.source), checkpoint_digests(lent_too.source)
    assert ours.weights == theirs.weights != checkpoint_digests(own.source).weights
    assert ours.vae == sha256(file.read_bytes()).hexdigest() != theirs.vae


def test_its_variant_is_chosen_by_its_own_name(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    AutoencoderKL.from_pretrained(copy).half().save_pretrained(copy, variant="fp16")
    parts = {variant: Checkpoint.open(copy, variant).components["vae_decoder"] for variant in ("", "fp16")}
    kinds = {variant: {info.dtype for info in part.weights.values()} for variant, part in parts.items()}
    assert kinds == {"": {"F32"}, "fp16": {"F16"}}
    with pytest.raises(InvalidArgumentError, match=r"^variant: no weights .* 'bf16'; there are: fp16"):
        Checkpoint.open(copy, "bf16")


def test_one_that_does_not_fit_is_named(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    wide = tiny.save_vae(tmp_path / "wide", latent_channels=16)
    with pytest.raises(CheckpointInvalidError, match="in_channels 4 and out_channels 4 must be the VAE's 16"):
        Checkpoint.open(checkpoints["sd1"], vae=wide)
    broken = Path(shutil.copytree(wide, tmp_path / "broken"))
    tiny.update(broken / "config.json", latents_std=[1.0])
    with pytest.raises(CheckpointInvalidError, match="latents_std must be 16 numbers") as caught:
        Checkpoint.open(broken)
    assert caught.value.metadata["file"] == str(broken / "config.json")
