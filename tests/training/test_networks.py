"""The networks fit together, and the tricks played on their weights change nothing that they should not."""

from pathlib import Path

import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import torch

from triptych_training.latents import LatentSet
from triptych_training.models import make_scheduler, make_text_encoder, make_unet, make_vae
from triptych_training.snapshots import Pace, load_snapshot, save_snapshot
from triptych_training.trainers.vae import standardise_latents


def test_standardised_latents_decode_to_the_same_picture() -> None:
    torch.manual_seed(0)
    vae = make_vae().eval()
    pictures = torch.rand(2, 3, 64, 64) * 2.0 - 1.0
    with torch.no_grad():
        before = vae.decode(vae.encode(pictures).latent_dist.mode()).sample
        standardise_latents(vae, pictures)
        latents = vae.encode(pictures).latent_dist.mode()
        after = vae.decode(latents).sample
    assert torch.allclose(before, after, atol=1e-4)
    assert torch.allclose(latents.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5)
    assert float(latents.std() * vae.config.scaling_factor) == pytest.approx(1.0, abs=0.02)


def test_the_networks_fit_together_and_into_the_package() -> None:
    unet, text_encoder = make_unet().eval(), make_text_encoder(712, 710, 711).eval()
    with torch.no_grad():
        text = text_encoder(torch.full((1, 77), 711)).last_hidden_state
        drawn = unet(torch.zeros(1, 4, 12, 24), torch.tensor([500]), text).sample
    assert drawn.shape == (1, 4, 12, 24)
    parameters = [value for part in (unet, text_encoder, make_vae()) for value in part.parameters()]
    assert 2 * sum(value.numel() for value in parameters) < 20_000_000


def test_the_last_timestep_hides_the_mean_of_a_picture() -> None:
    signal = float(make_scheduler().alphas_cumprod[-1]) ** 0.5
    assert signal < 0.2 / 16.0  # 1 / 16 is the deviation of the mean of 16 x 16 latents of noise.


def test_a_batch_pairs_latents_with_their_own_captions() -> None:
    latents = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 4, 16, 16)
    tokens = torch.arange(5, dtype=torch.int16).view(5, 1, 1).expand(5, 3, 77)
    drawn, captions = LatentSet(latents, tokens).batch(32)
    assert torch.equal(drawn[:, 0, 0, 0].long(), captions[:, 0])


def test_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "some.snapshot.pt"
    assert load_snapshot(path) is None
    save_snapshot(path, {"used_s": 30.0, "step": 7})
    state = load_snapshot(path)
    assert state is not None
    pace = Pace(budget_s=60.0, used_s=state["used_s"])
    assert pace.progress == pytest.approx(0.5, abs=0.01)
    assert pace.learning_rate(1.0, step=0) < pace.learning_rate(1.0, step=1000) == 1.0
    assert Pace(60.0, used_s=51.0).learning_rate(1.0, step=1000) == pytest.approx(0.525, abs=0.02)
    assert Pace(60.0, used_s=61.0).learning_rate(1.0, step=1000) == pytest.approx(0.05)
