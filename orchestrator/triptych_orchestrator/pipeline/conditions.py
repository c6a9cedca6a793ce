"""What a job's UNet is conditioned on: prompts, by every text encoder of the family, and what it is told besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import TextPart
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.pipeline.encoding.texts import Encoded, PromptEncoder, Text
from triptych_orchestrator.pipeline.plan import FromNoise, Pass
from triptych_orchestrator.sampling.guidance import is_guided
from triptych_orchestrator.stages.conditioning import Conditioning
from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.use import StageUse
from triptych_orchestrator.text.syntax import literal_syntax
from triptych_orchestrator.text.tokenizer import Tokenizer

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Conditions:
    """The negative prompt's conditioning, where guidance asks for one, then the prompt's; warnings about the texts."""

    conditionings: Sequence[Conditioning]
    warnings: Sequence[str]


async def conditions_of(job: Job, one: Pass, entry: Entry, encoder: PromptEncoder, use: StageUse) -> Conditions:
    """As diffusers' `encode_prompt` makes them, and its pipeline's time ids; the entry must be open."""
    family, guided = entry.opened.family, is_guided(job.guidance_scale)
    zeroed = guided and one.zeroes_negative
    sides = (True, False) if guided and not zeroed else (False,)
    parts, models, encoded, warnings = family.texts, entry.models(), [], []
    for part, tokenizer in zip(parts, entry.tokenizers, strict=True):
        texts, cut = _read(job, part, tokenizer, sides)
        lora_set = LoraSet.of(one.loras.get(part.model, ()))
        encoded.append(await encoder.encode(models[part.model], texts, lora_set, job.request_id, use))
        warnings += cut
    tensors = [_joined(parts, side) for side in zip(*encoded, strict=True)]
    if zeroed:
        tensors.insert(0, {name: np.zeros_like(array) for name, array in tensors[0].items()})
    from_image = not isinstance(one.source, FromNoise)
    told = family.time_ids(job.micro_conditions, one.height, one.width, from_image)
    ids = (told.negative, told.positive) if guided else (told.positive,)
    conditionings = [Conditioning.of(**each, **_told(own)) for each, own in zip(tensors, ids, strict=True)]
    return Conditions(conditionings, list(dict.fromkeys(warnings)))


def _read(job: Job, part: TextPart, tokenizer: Tokenizer, sides: Sequence[bool]) -> tuple[list[Text], list[str]]:
    """What one text encoder is asked, for the negative prompt where a side is true, and what to warn of."""
    prompts = dict(_prompt(job, part, is_negative) for is_negative in sides)
    tokens = tokenizer.encode(list(prompts.values()))
    texts = [
        Text(ids.tobytes(), part.skipped(job.clip_skip, is_negative=is_negative), part.final_norm)
        for ids, is_negative in zip(tokens.input_ids, sides, strict=True)
    ]
    cut = [f"the prompt is too long for the text encoder; left out: {text!r}" for text in tokens.truncated if text]
    return texts, cut + [text for field, prompt in prompts.items() for text in literal_syntax(field, prompt)]


def _prompt(job: Job, part: TextPart, is_negative: bool) -> tuple[str, str]:
    """The field that this text encoder reads, and its text; the first one's, where nothing is said for it."""
    own, first = (part.negative_prompt, "negative_prompt") if is_negative else (part.prompt, "prompt")
    field = own if getattr(job, own) else first
    return field, getattr(job, field)


def _joined(parts: Sequence[TextPart], side: Sequence[Encoded]) -> dict[str, Array]:
    """One prompt's states, of all text encoders side by side, and the pooled vector where one gives it."""
    tensors = {"encoder_hidden_states": np.concatenate([each.hidden_states for each in side], axis=-1)}
    pooled = [each.pooled for part, each in zip(parts, side, strict=True) if part.gives_pooled]
    return tensors | ({"text_embeds": pooled[-1]} if pooled else {})


def _told(ids: Sequence[float]) -> dict[str, Array]:
    return {"time_ids": np.array(ids, np.float32)} if ids else {}
