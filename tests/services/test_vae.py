"""What lies between a UNet's latents and the VAE's."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tiny
from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint
from triptych.engine import EngineSettings, load_engine
from triptych.errors import InvalidArgumentError
from triptych_vae.model import VaeDecoderModel, VaeEncoderModel


def test_latents_with_statistics_are_scaled_as_by_diffusers(sdxl: Path, tmp_path: Path) -> None:
    mean, std = [0.1, -0.2, 0.0, 1.0], [1.0, 2.0, 3.0, 0.5]
    folder = Path(shutil.copytree(sdxl, tmp_path / "sdxl"))
    tiny.update(folder / "vae" / "config.json", latents_mean=mean, latents_std=std)
    model = VaeDecoderModel()
    model.component = Checkpoint.open(folder).components["vae_decoder"]
    model.engine = load_engine("torch", model.component, EngineSettings(2, CACHE))
    latents = torch.randn(2, 4, 3, 5)
    # As StableDiffusionXLPipeline has it.
    by_channel = [torch.tensor(each).view(1, 4, 1, 1) for each in (mean, std)]
    theirs = latents * by_channel[1] / 0.13025 + by_channel[0]
    np.testing.assert_allclose(model.prepare({"latents": latents.numpy()})["latents"], theirs.numpy(), rtol=1e-6)


def test_what_is_transparent_lies_in_the_middle_as_diffusers_masks_it(sdxl: Path) -> None:
    model = VaeEncoderModel()
    model.component = Checkpoint.open(sdxl).components["vae_encoder"]
    random = np.random.default_rng(0)
    image, drawn = random.integers(0, 256, (1, 16, 24, 3), np.uint8), random.random((1, 16, 24, 1)) < 0.5
    masked = np.concatenate([image, np.where(drawn, 0, 255).astype(np.uint8)], axis=-1)
    plain, seen = (model.prepare({"image": each})["image"] for each in (image, masked))
    assert seen.shape == plain.shape == (1, 3, 16, 24) and (seen == 0).any()
    assert np.array_equal(seen, plain * ~drawn.transpose(0, 3, 1, 2))
    with pytest.raises(InvalidArgumentError, match="is 16 x 24 x 1, must be RGB or RGBA"):
        model.prepare({"image": image[..., :1]})
