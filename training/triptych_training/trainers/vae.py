"""Train the VAE: first on 64x64 pieces and thumbnails, which is cheap, then on whole 128x128 pictures.

The loss is the mean squared error plus a very small KL term (Rombach et al. 2022, appendix G).
"""

import logging
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from triptych_training.models import make_vae
from triptych_training.scenes import training_example
from triptych_training.snapshots import Pace, load_snapshot, save_snapshot

logger = logging.getLogger(__name__)

PICTURE_COUNT: Final = 6000
BATCH_SIZE: Final = 16
SMALL_SHARE: Final = 0.65
"""Share of the time spent on 64x64 pictures."""

PEAK_LEARNING_RATE: Final = 1e-3
KL_WEIGHT: Final = 1e-6
LATENT_NOISE: Final = 0.05
"""Noise added to the latents, in units of their deviation, so that the decoder forgives small errors."""


def train_vae(work_dir: Path, budget_s: float) -> AutoencoderKL:
    """Train for ``budget_s`` seconds in all, going on from ``work_dir``'s snapshot; return the VAE."""
    vae = make_vae().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(vae.parameters(), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.99))
    path = work_dir / "vae.snapshot.pt"
    pace, step = _resume(path, vae, optimizer, budget_s)
    pictures = _pictures(PICTURE_COUNT)
    random = np.random.default_rng([step, 3])
    average = 0.0
    while pace.progress < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = pace.learning_rate(PEAK_LEARNING_RATE, step)
        small = pace.progress < SMALL_SHARE
        loss = vae_loss(vae, _batch(pictures, random, small))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        step += 1
        average = loss.item() if step == 1 else 0.95 * average + 0.05 * loss.item()
        if step % 20 == 0:
            logger.info("vae step %d, %.0f s, small %d, loss %.5f", step, pace.used_s, small, average)
        if pace.save_is_due():
            save_snapshot(path, _state(vae, optimizer, pace, step))
    save_snapshot(path, _state(vae, optimizer, pace, step))
    standardise_latents(vae, to_tensor(pictures[:512]))
    vae.save_pretrained(work_dir / "vae")
    return vae


def vae_loss(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Return the loss on ``pictures``, (batch, 3, H, W) in [-1, 1]."""
    posterior = vae.encode(pictures).latent_dist
    latents = posterior.sample()
    latents = latents + LATENT_NOISE * latents.detach().std() * torch.randn_like(latents)
    drawn = vae.decode(latents).sample
    loss: Tensor = functional.mse_loss(drawn, pictures) + KL_WEIGHT * posterior.kl().mean()
    return loss


@torch.no_grad()
def encode_pictures(vae: AutoencoderKL, pictures: Tensor, batch_size: int = 32) -> Tensor:
    """Return the posterior means of ``pictures``, not yet scaled: (count, 4, H / 8, W / 8)."""
    return torch.cat([vae.encode(batch).latent_dist.mode() for batch in torch.split(pictures, batch_size)])


@torch.no_grad()
def standardise_latents(vae: AutoencoderKL, pictures: Tensor) -> None:
    """Centre the latents, give every channel one deviation and set ``scaling_factor`` to its inverse.

    Both changes are exact: they go into the 1x1 convolutions on the two sides of the latents.
    """
    latents = encode_pictures(vae, pictures)
    mean = latents.mean(dim=(0, 2, 3))
    overall = latents.std()
    stretch = overall / latents.std(dim=(0, 2, 3))
    to_moments, from_latents = vae.quant_conv, vae.post_quant_conv
    to_moments.weight[:4] *= stretch.view(4, 1, 1, 1)
    to_moments.bias[:4] = (to_moments.bias[:4] - mean) * stretch
    to_moments.bias[4:] += 2.0 * stretch.log()
    from_latents.bias += from_latents.weight[:, :, 0, 0] @ mean
    from_latents.weight /= stretch.view(1, 4, 1, 1)
    vae.register_to_config(scaling_factor=round(1.0 / float(overall), 5))


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """Return ``(count, H, W, 3)`` bytes as ``(count, 3, H, W)`` in [-1, 1]."""
    scaled = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    return scaled.contiguous(memory_format=torch.channels_last)


def _pictures(count: int) -> NDArray[np.uint8]:
    return np.stack([training_example(seed).picture for seed in range(count)])


def _batch(pictures: NDArray[np.uint8], random: np.random.Generator, small: bool) -> Tensor:
    """Draw a batch; when ``small``, three quarters are 64x64 pieces and the rest are halved pictures."""
    chosen = pictures[random.integers(len(pictures), size=BATCH_SIZE)]
    if not small:
        return to_tensor(chosen)
    whole = to_tensor(chosen)
    pieces = []
    for index in range(BATCH_SIZE):
        if index % 4 == 0:
            pieces.append(functional.avg_pool2d(whole[index : index + 1], 2))
            continue
        top, left = (int(offset) for offset in random.integers(8, 57, size=2))
        pieces.append(whole[index : index + 1, :, top : top + 64, left : left + 64])
    return torch.cat(pieces).contiguous(memory_format=torch.channels_last)


def _state(vae: AutoencoderKL, optimizer: torch.optim.Optimizer, pace: Pace, step: int) -> dict[str, Any]:
    return {"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "used_s": pace.used_s, "step": step}


def _resume(path: Path, vae: AutoencoderKL, optimizer: torch.optim.Optimizer, budget_s: float) -> tuple[Pace, int]:
    state = load_snapshot(path)
    if state is None:
        return Pace(budget_s), 0
    vae.load_state_dict(state["vae"])
    optimizer.load_state_dict(state["optimizer"])
    logger.info("going on from step %d after %.0f s", state["step"], state["used_s"])
    return Pace(budget_s, state["used_s"]), int(state["step"])
