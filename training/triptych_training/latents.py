"""Encode training scenes once, so that training the UNet never runs the VAE."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTokenizer

from triptych_training.scenes import training_example, word_caption
from triptych_training.snapshots import load_snapshot, save_snapshot
from triptych_training.tokenizer import tokenize
from triptych_training.trainers.vae import encode_pictures, to_tensor

logger = logging.getLogger(__name__)

CAPTIONS_PER_SCENE: Final = 4
CHUNK: Final = 500


@dataclass(frozen=True)
class LatentSet:
    """Scaled latents (count, 4, 16, 16) and, for each, several captions' token ids (count, captions, 77)."""

    latents: Tensor
    tokens: Tensor

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Draw latents (size, 4, 16, 16) and token ids (size, 77) by chance."""
        scenes = torch.randint(len(self.latents), (size,))
        wordings = torch.randint(self.tokens.shape[1], (size,))
        return self.latents[scenes], self.tokens[scenes, wordings].long()


def prepare_latents(path: Path, vae: AutoencoderKL, tokenizer: CLIPTokenizer, count: int) -> LatentSet:
    """Return ``count`` encoded training scenes, reusing those that ``path`` already holds."""
    state = load_snapshot(path) or {"latents": torch.zeros(0, 4, 16, 16), "tokens": torch.zeros(0)}
    done = len(state["latents"])
    latents = [state["latents"]]
    tokens = [state["tokens"]] if done else []
    for first in range(done, count, CHUNK):
        seeds = range(first, min(first + CHUNK, count))
        pictures = to_tensor(np.stack([training_example(seed).picture for seed in seeds]))
        latents.append(encode_pictures(vae, pictures) * vae.config.scaling_factor)
        tokens.append(_captions(seeds, tokenizer))
        logger.info("encoded %d of %d scenes", seeds.stop, count)
    prepared = LatentSet(torch.cat(latents), torch.cat(tokens))
    save_snapshot(path, {"latents": prepared.latents, "tokens": prepared.tokens})
    return prepared


def _captions(seeds: range, tokenizer: CLIPTokenizer) -> Tensor:
    captions = []
    for seed in seeds:
        example = training_example(seed)
        random = np.random.default_rng([seed, 4])
        captions.append(example.caption)
        captions += [word_caption(example.scene, random) for _ in range(CAPTIONS_PER_SCENE - 1)]
    ids = torch.tensor(tokenize(tokenizer, captions), dtype=torch.int16)
    return ids.view(len(seeds), CAPTIONS_PER_SCENE, -1)
