"""Teach the text encoder what captions say, before the UNet has to: Stable Diffusion, too, starts from a trained CLIP.

Every token from the end of the caption on is asked for each object's shape, colour, size and position and for the
background. Stable Diffusion's text encoder is CLIP's, whose end token knows the whole caption (Radford et al. 2021).
"""

import logging
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from triptych_training.drawing import COLOURS, POSITIONS, RADII, SHAPES, Scene
from triptych_training.models import TEXT_WIDTH
from triptych_training.scenes import is_held_out, random_scene, word_caption
from triptych_training.tokenizer import tokenize

logger = logging.getLogger(__name__)

CAPTION_COUNT: Final = 20000
BATCH_SIZE: Final = 32
STEPS: Final = 1500
LEARNING_RATE: Final = 1e-3

TERMS: Final[tuple[tuple[str, ...], ...]] = (
    tuple(COLOURS),
    *((SHAPES, tuple(COLOURS), tuple(RADII), tuple(POSITIONS)) * 2),
)
"""What may be asked of a scene: the background, then the first object's four terms, then the second's."""

ABSENT: Final = -100
"""The answer where a scene has no second object; ``cross_entropy`` passes over it."""


def train_text_encoder(text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> None:
    """Train ``text_encoder`` in place."""
    tokens, answers = _captions(tokenizer)
    heads = nn.Linear(TEXT_WIDTH, sum(len(terms) for terms in TERMS))
    parameters = [*text_encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
    for step in range(1, STEPS + 1):
        chosen = torch.randint(len(tokens), (BATCH_SIZE,))
        loss = reading_loss(text_encoder, heads, tokens[chosen].long(), answers[chosen], tokenizer.eos_token_id)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            logger.info("text step %d of %d, loss %.4f", step, STEPS, loss.item())


def reading_loss(
    text_encoder: CLIPTextModel, heads: nn.Linear, tokens: Tensor, answers: Tensor, end_token: int
) -> Tensor:
    """Return the mean cross-entropy over terms; ``tokens``: (batch, 77), ``answers``: (batch, len(TERMS)) indices."""
    hidden = text_encoder(tokens).last_hidden_state
    batch, position = (tokens == end_token).nonzero(as_tuple=True)
    logits = heads(hidden[batch, position]).split([len(terms) for terms in TERMS], dim=1)
    losses = [
        nn.functional.cross_entropy(logit, answers[batch, index], ignore_index=ABSENT)
        for index, logit in enumerate(logits)
        if bool((answers[:, index] != ABSENT).any())
    ]
    return torch.stack(losses).mean()


def scene_answers(scene: Scene) -> list[int]:
    """Return the index of the scene's term in each of ``TERMS``, ``ABSENT`` for an object that it lacks."""
    answers = [TERMS[0].index(scene.background)]
    for drawn in scene.objects:
        answers += [
            SHAPES.index(drawn.shape),
            list(COLOURS).index(drawn.colour),
            list(RADII).index(drawn.size),
            list(POSITIONS).index(drawn.position),
        ]
    return answers + [ABSENT] * (len(TERMS) - len(answers))


def _captions(tokenizer: CLIPTokenizer) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(5)
    captions: list[str] = []
    answers: list[list[int]] = []
    while len(captions) < CAPTION_COUNT:
        scene = random_scene(random)
        if not is_held_out(scene):
            captions.append(word_caption(scene, random))
            answers.append(scene_answers(scene))
    return torch.tensor(tokenize(tokenizer, captions), dtype=torch.int16), torch.tensor(answers)
