"""Train a ControlNet (Zhang et al. 2023) on a finished checkpoint: outlines go in, the UNet stays as it is.

It begins as a copy of the UNet's first half that adds nothing (zero convolutions). The captions leave place, size
and angle out, and often the shape too: what they leave out, only the outline tells.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from transformers import CLIPTokenizer

from triptych_training.models import make_scheduler
from triptych_training.outlines import outlined_example
from triptych_training.snapshots import Pace, load_snapshot, save_snapshot
from triptych_training.tokenizer import load_tokenizer, tokenize
from triptych_training.trainers.lora import load_networks, unet_fingerprint
from triptych_training.trainers.unet import draw_timesteps
from triptych_training.trainers.vae import encode_pictures, to_tensor

logger = logging.getLogger(__name__)

EXAMPLE_COUNT: Final = 10_000
CHUNK: Final = 500
BATCH_SIZE: Final = 32
PEAK_LEARNING_RATE: Final = 1e-3
CAPTION_DROPOUT: Final = 0.2
AVERAGE_DECAY: Final = 0.995
HINT_CHANNELS: Final = (16, 32, 64, 128)
"""Of the convolutions that look at the outline: half of Stable Diffusion's in the last two."""


@dataclass(frozen=True)
class OutlineSet:
    """Scaled latents (count, 4, 16, 16), outlines (count, 128, 128) in bytes, captions' token ids (count, 77)."""

    latents: Tensor
    outlines: Tensor
    tokens: Tensor

    def batch(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw latents, outlines (size, 3, 128, 128) in [0, 1] and token ids by chance."""
        chosen = torch.randint(len(self.latents), (size,))
        outlines = vary_lines(self.outlines[chosen, None].float() / 255.0).expand(-1, 3, -1, -1)
        return self.latents[chosen], outlines, self.tokens[chosen].long()


def make_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """Return a fresh ControlNet of ``unet``."""
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=HINT_CHANNELS)
    return controlnet.requires_grad_(True).to(memory_format=torch.channels_last)


def train_controlnet(checkpoint: Path, work_dir: Path, budget_s: float) -> ControlNetModel:
    """Train for ``budget_s`` seconds in all, going on from ``work_dir``'s snapshot; return the averaged one."""
    tokenizer = load_tokenizer(checkpoint / "tokenizer")
    networks = load_networks(checkpoint)
    examples = prepare_outlines(checkpoint, work_dir, tokenizer, EXAMPLE_COUNT)
    controlnet = make_controlnet(networks["unet"])
    averaged = AveragedModel(controlnet, avg_fn=_average)
    optimizer = torch.optim.AdamW(controlnet.parameters(), betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    empty = torch.tensor(tokenize(tokenizer, [""]))
    scheduler = make_scheduler()
    path = work_dir / "controlnet.snapshot.pt"
    kept = {"controlnet": controlnet, "averaged": averaged, "optimizer": optimizer}
    pace, step = _resume(path, kept, budget_s, unet_fingerprint(checkpoint))
    torch.manual_seed(step)
    smooth = 0.0
    while pace.progress < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = pace.learning_rate(PEAK_LEARNING_RATE, step)
        loss = control_loss(networks, controlnet, scheduler, examples, empty)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(controlnet.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(controlnet)
        step += 1
        smooth = loss.item() if smooth == 0.0 else 0.98 * smooth + 0.02 * loss.item()
        if step % 50 == 0:
            logger.info("controlnet step %d, %.0f s, loss %.5f", step, pace.used_s, smooth)
        if pace.save_is_due():
            save_snapshot(path, _state(kept, pace, step, unet_fingerprint(checkpoint)))
    save_snapshot(path, _state(kept, pace, step, unet_fingerprint(checkpoint)))
    trained: ControlNetModel = averaged.module
    return trained


def control_loss(
    networks: nn.ModuleDict,
    controlnet: ControlNetModel,
    scheduler: DDIMScheduler,
    examples: OutlineSet,
    empty: Tensor,
    batch_size: int = BATCH_SIZE,
) -> Tensor:
    """Return the squared error of the velocity predicted under ``controlnet``; ``empty``: (1, 77) ids."""
    latents, outlines, tokens = examples.batch(batch_size)
    captions = torch.where(torch.rand(len(tokens), 1) < CAPTION_DROPOUT, empty, tokens)
    timesteps = draw_timesteps(len(latents), scheduler.config.num_train_timesteps)
    noise = torch.randn_like(latents)
    noisy = scheduler.add_noise(latents, noise, timesteps).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        text = networks["text_encoder"](captions).last_hidden_state
        down, middle = controlnet(noisy, timesteps, text, outlines, return_dict=False)
        predicted = networks["unet"](
            noisy,
            timesteps,
            text,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
    velocity = scheduler.get_velocity(latents, noise, timesteps)
    loss: Tensor = torch.nn.functional.mse_loss(predicted.float(), velocity)
    return loss


def vary_lines(outlines: Tensor) -> Tensor:
    """Make one line in five three pixels broad, and one in five soft, as those of a resized picture are."""
    broad = torch.nn.functional.max_pool2d(outlines, 3, 1, 1)
    soft = torch.nn.functional.avg_pool2d(outlines, 3, 1, 1)
    draw = torch.rand(len(outlines), 1, 1, 1)
    return torch.where(draw < 0.2, broad, torch.where(draw < 0.4, soft, outlines))


def prepare_outlines(checkpoint: Path, work_dir: Path, tokenizer: CLIPTokenizer, count: int) -> OutlineSet:
    """Return ``count`` encoded examples, those that ``work_dir`` holds already if they are of this checkpoint."""
    path = work_dir / "outlines.pt"
    state = load_snapshot(path)
    if state is None or len(state["latents"]) < count or state["unet"] != unet_fingerprint(checkpoint):
        state = _encode(checkpoint, tokenizer, count)
        save_snapshot(path, {**state, "unet": unet_fingerprint(checkpoint)})
    return OutlineSet(state["latents"], state["outlines"], state["tokens"])


def _encode(checkpoint: Path, tokenizer: CLIPTokenizer, count: int) -> dict[str, Tensor]:
    vae = AutoencoderKL.from_pretrained(checkpoint / "vae", torch_dtype=torch.float32)
    vae = vae.to(memory_format=torch.channels_last).eval()
    latents, outlines, captions = [], [], []
    for first in range(0, count, CHUNK):
        examples = [outlined_example(seed) for seed in range(first, min(first + CHUNK, count))]
        pictures = to_tensor(np.stack([example.picture for example in examples]))
        latents.append(encode_pictures(vae, pictures) * vae.config.scaling_factor)
        outlines.append(torch.from_numpy(np.stack([example.outline for example in examples])))
        captions += [example.caption for example in examples]
        logger.info("encoded %d of %d scenes", len(captions), count)
    tokens = torch.tensor(tokenize(tokenizer, captions), dtype=torch.int16)
    return {"latents": torch.cat(latents), "outlines": torch.cat(outlines), "tokens": tokens}


def _average(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    decay = min(AVERAGE_DECAY, (1.0 + float(count)) / (10.0 + float(count)))
    return average + (1.0 - decay) * (current - average)


def _state(kept: dict[str, Any], pace: Pace, step: int, fingerprint: str) -> dict[str, Any]:
    states = {name: part.state_dict() for name, part in kept.items()}
    return states | {"used_s": pace.used_s, "step": step, "unet": fingerprint}


def _resume(path: Path, kept: dict[str, Any], budget_s: float, fingerprint: str) -> tuple[Pace, int]:
    state = load_snapshot(path)
    if state is None or state["unet"] != fingerprint:
        return Pace(budget_s), 0
    for name, part in kept.items():
        part.load_state_dict(state[name])
    logger.info("going on from step %d after %.0f s", state["step"], state["used_s"])
    return Pace(budget_s, state["used_s"]), int(state["step"])
