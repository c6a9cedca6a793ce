"""Train the UNet and the text encoder together on encoded scenes: predict the velocity (Salimans and Ho 2022).

The text encoder has learned to read captions before (``train_text``). One caption in eight is emptied, for
classifier-free guidance (Ho and Salimans 2022).
"""

import logging
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from transformers import CLIPTokenizer

from triptych_training.latents import LatentSet, prepare_latents
from triptych_training.models import make_scheduler, make_text_encoder, make_unet, sharpen_text_attention
from triptych_training.snapshots import Pace, load_snapshot, save_snapshot
from triptych_training.tokenizer import load_tokenizer, tokenize, write_tokenizer
from triptych_training.trainers.text import train_text_encoder

logger = logging.getLogger(__name__)

SCENE_COUNT: Final = 12000
BATCH_SIZE: Final = 32
OUTLINE_TIMESTEPS: Final = (250, 850)
"""Where a scene's outlines are decided: before, the picture shows through; after, there is only its colour."""

OUTLINE_SHARE: Final = 0.7
"""Share of a batch drawn from those timesteps alone."""

PEAK_LEARNING_RATE: Final = 8e-4
WARMUP_STEPS: Final = 100
CAPTION_DROPOUT: Final = 0.125
AVERAGE_DECAY: Final = 0.998


def make_networks(tokenizer: CLIPTokenizer) -> nn.ModuleDict:
    """Return fresh networks under the names of the checkpoint's folders, "unet" and "text_encoder"."""
    text_encoder = make_text_encoder(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    unet = make_unet().to(memory_format=torch.channels_last)
    sharpen_text_attention(unet)
    return nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})


def train_unet(work_dir: Path, budget_s: float) -> None:
    """Train for ``budget_s`` seconds in all, going on from ``work_dir``'s snapshot."""
    write_tokenizer(work_dir / "tokenizer")
    tokenizer = load_tokenizer(work_dir / "tokenizer")
    vae = AutoencoderKL.from_pretrained(work_dir / "vae").to(memory_format=torch.channels_last)
    examples = prepare_latents(work_dir / "latents.pt", vae, tokenizer, SCENE_COUNT)
    networks = make_networks(tokenizer)
    averaged = AveragedModel(networks, avg_fn=_average)
    optimizer = torch.optim.AdamW(networks.parameters(), betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    path = work_dir / "unet.snapshot.pt"
    pace, step = _resume(path, networks, averaged, optimizer, budget_s)
    if step == 0:
        train_text_encoder(networks["text_encoder"], tokenizer)
        averaged.load_state_dict(AveragedModel(networks).state_dict())
    torch.manual_seed(step)
    empty = torch.tensor(tokenize(tokenizer, [""]))
    scheduler = make_scheduler()
    smooth = 0.0
    while pace.progress < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = pace.learning_rate(PEAK_LEARNING_RATE, step, WARMUP_STEPS)
        loss = denoising_loss(networks, scheduler, examples, empty)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(networks)
        step += 1
        smooth = loss.item() if smooth == 0.0 else 0.98 * smooth + 0.02 * loss.item()
        if step % 50 == 0:
            logger.info("unet step %d, %.0f s, loss %.5f", step, pace.used_s, smooth)
        if pace.save_is_due():
            save_snapshot(path, _state(networks, averaged, optimizer, pace, step))
    save_snapshot(path, _state(networks, averaged, optimizer, pace, step))


def denoising_loss(
    networks: nn.ModuleDict, scheduler: DDIMScheduler, examples: LatentSet, empty: Tensor, batch_size: int = BATCH_SIZE
) -> Tensor:
    """Return the squared error of the predicted velocity on a random batch; ``empty``: (1, 77) ids."""
    latents, tokens = examples.batch(batch_size)
    dropped = torch.rand(len(tokens), 1) < CAPTION_DROPOUT
    captions = torch.where(dropped, empty, tokens)
    text = networks["text_encoder"](captions).last_hidden_state
    timesteps = draw_timesteps(len(latents), scheduler.config.num_train_timesteps)
    noise = torch.randn_like(latents)
    noisy = scheduler.add_noise(latents, noise, timesteps).contiguous(memory_format=torch.channels_last)
    velocity = scheduler.get_velocity(latents, noise, timesteps)
    predicted = networks["unet"](noisy, timesteps, text).sample
    loss: Tensor = torch.nn.functional.mse_loss(predicted, velocity)
    return loss


def draw_timesteps(count: int, end: int) -> Tensor:
    """Return ``count`` timesteps below ``end``, most of them where outlines are decided."""
    anywhere = torch.randint(end, (count,))
    outline = torch.randint(*OUTLINE_TIMESTEPS, (count,))
    return torch.where(torch.rand(count) < OUTLINE_SHARE, outline, anywhere)


def load_averaged(work_dir: Path) -> nn.ModuleDict:
    """Return the averaged networks of the latest snapshot in ``work_dir``."""
    state = load_snapshot(work_dir / "unet.snapshot.pt")
    if state is None:
        raise FileNotFoundError(f"no UNet snapshot in {work_dir}: train one first")
    weights = {name.removeprefix("module."): value for name, value in state["averaged"].items()}
    del weights["n_averaged"]
    networks = make_networks(load_tokenizer(work_dir / "tokenizer"))
    networks.load_state_dict(weights)
    return networks.eval()


def _average(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    """Move the average towards the current weights, faster at the start of training."""
    decay = min(AVERAGE_DECAY, (1.0 + float(count)) / (10.0 + float(count)))
    return average + (1.0 - decay) * (current - average)


def _state(
    networks: nn.ModuleDict, averaged: AveragedModel, optimizer: torch.optim.Optimizer, pace: Pace, step: int
) -> dict[str, Any]:
    return {
        "networks": networks.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "used_s": pace.used_s,
        "step": step,
    }


def _resume(
    path: Path,
    networks: nn.ModuleDict,
    averaged: AveragedModel,
    optimizer: torch.optim.Optimizer,
    budget_s: float,
) -> tuple[Pace, int]:
    state = load_snapshot(path)
    if state is None:
        return Pace(budget_s), 0
    networks.load_state_dict(state["networks"])
    averaged.load_state_dict(state["averaged"])
    optimizer.load_state_dict(state["optimizer"])
    logger.info("going on from step %d after %.0f s", state["step"], state["used_s"])
    return Pace(budget_s, state["used_s"]), int(state["step"])
