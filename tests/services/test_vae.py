"""What lies between a UNet's latents and the VAE's."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from tests import tiny
from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint
from triptych.engine import EngineSettings, load_engine
from triptych_vae.model import VaeDecoderModel


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
