"""Train a LoRA of one style on a finished checkpoint: its UNet stays as it is, the layers beside it learn.

The captions are those of the plain scenes, without a word for the style: who adds the LoRA gets the style.
"""

import hashlib
import logging
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from triptych_training.latents import CHUNK, LatentSet
from triptych_training.lora import attach_lora
from triptych_training.models import make_scheduler
from triptych_training.scenes import Example, training_example
from triptych_training.snapshots import Pace, load_snapshot, save_snapshot
from triptych_training.styles import draw_styled
from triptych_training.tokenizer import load_tokenizer, tokenize
from triptych_training.trainers.unet import denoising_loss
from triptych_training.trainers.vae import encode_pictures, to_tensor

logger = logging.getLogger(__name__)

SCENE_COUNT: Final = 2000
BATCH_SIZE: Final = 16
PEAK_LEARNING_RATE: Final = 6e-3
WARMUP_STEPS: Final = 20


def train_lora(style: str, checkpoint: Path, work_dir: Path, budget_s: float) -> nn.ModuleDict:
    """Train for ``budget_s`` seconds in all, going on from ``work_dir``'s snapshot; return the layers."""
    tokenizer = load_tokenizer(checkpoint / "tokenizer")
    networks = load_networks(checkpoint)
    layers = attach_lora(networks["unet"])
    optimizer = torch.optim.AdamW(layers.parameters(), betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    examples = style_latents(style, checkpoint, tokenizer, SCENE_COUNT)
    empty = torch.tensor(tokenize(tokenizer, [""]))
    scheduler = make_scheduler()
    path = work_dir / f"lora-{style}.snapshot.pt"
    fingerprint = unet_fingerprint(checkpoint)
    pace, step = _resume(path, layers, optimizer, budget_s, fingerprint)
    smooth = 0.0
    while pace.progress < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = pace.learning_rate(PEAK_LEARNING_RATE, step, WARMUP_STEPS)
        loss = denoising_loss(networks, scheduler, examples, empty, BATCH_SIZE)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(layers.parameters(), 1.0)
        optimizer.step()
        step += 1
        smooth = loss.item() if smooth == 0.0 else 0.9 * smooth + 0.1 * loss.item()
        if step % 10 == 0:
            logger.info("lora %s step %d, %.0f s, loss %.5f", style, step, pace.used_s, smooth)
        if pace.save_is_due():
            save_snapshot(path, _state(layers, optimizer, pace, step, fingerprint))
    save_snapshot(path, _state(layers, optimizer, pace, step, fingerprint))
    return layers


def style_latents(style: str, checkpoint: Path, tokenizer: CLIPTokenizer, count: int) -> LatentSet:
    """Return ``count`` training scenes drawn in ``style`` and encoded, each with its plain caption."""
    vae = AutoencoderKL.from_pretrained(checkpoint / "vae", torch_dtype=torch.float32).eval()
    examples = [training_example(seed) for seed in range(count)]
    latents = []
    for first in range(0, count, CHUNK):
        pictures = _draw(style, examples[first : first + CHUNK], first)
        latents.append(encode_pictures(vae, pictures) * vae.config.scaling_factor)
    captions = tokenize(tokenizer, [example.caption for example in examples])
    logger.info("encoded %d scenes in the style %s", count, style)
    return LatentSet(torch.cat(latents), torch.tensor(captions, dtype=torch.int16)[:, None])


def _draw(style: str, examples: list[Example], first_seed: int) -> Tensor:
    """Return pictures (count, 3, 128, 128) in [-1, 1]."""
    drawn = [draw_styled(style, example.scene, first_seed + index) for index, example in enumerate(examples)]
    return to_tensor(np.stack(drawn))


def load_networks(checkpoint: Path) -> nn.ModuleDict:
    """Return the frozen networks of ``checkpoint`` in float32, "unet" and "text_encoder"."""
    unet = UNet2DConditionModel.from_pretrained(checkpoint / "unet", torch_dtype=torch.float32)
    text_encoder = CLIPTextModel.from_pretrained(checkpoint / "text_encoder", dtype=torch.float32)
    unet = unet.to(memory_format=torch.channels_last)
    networks = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})
    return networks.requires_grad_(False).eval()


def unet_fingerprint(checkpoint: Path) -> str:
    """Tells one UNet from another: a snapshot of layers beside the one means nothing beside the other."""
    weights = checkpoint / "unet" / "diffusion_pytorch_model.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def _state(
    layers: nn.ModuleDict, optimizer: torch.optim.Optimizer, pace: Pace, step: int, fingerprint: str
) -> dict[str, Any]:
    return {
        "layers": layers.state_dict(),
        "optimizer": optimizer.state_dict(),
        "used_s": pace.used_s,
        "step": step,
        "unet": fingerprint,
    }


def _resume(
    path: Path, layers: nn.ModuleDict, optimizer: torch.optim.Optimizer, budget_s: float, fingerprint: str
) -> tuple[Pace, int]:
    state = load_snapshot(path)
    if state is None or state["unet"] != fingerprint:
        return Pace(budget_s), 0
    layers.load_state_dict(state["layers"])
    optimizer.load_state_dict(state["optimizer"])
    logger.info("going on from step %d after %.0f s", state["step"], state["used_s"])
    return Pace(budget_s, state["used_s"]), int(state["step"])
