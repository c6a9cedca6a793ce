"""The words that may stand before a layer's name, in any order, and which model they mean.

list(readings("base_model.model.lora_te2_text_model.encoder...."))  # ..., ("encoder_2", "text_model_encoder_...")
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from triptych.contract import ENCODER, ENCODER_2, UNET

# Flat, as the names are; None for a word that says nothing of the model.
_WORDS = {
    **dict.fromkeys(("lora", "lycoris", "oft", "model", "base_model", "module", "network", "transformer"), None),
    **dict.fromkeys(("unet", "diffusion_model"), UNET.name),
    **dict.fromkeys(("te", "te1", "text_encoder", "text_encoder_1", "text_encoders", "clip_l"), ENCODER.name),
    **dict.fromkeys(("cond_stage_model", "conditioner_embedders_0"), ENCODER.name),
    **dict.fromkeys(("te2", "text_encoder_2", "clip_g", "conditioner_embedders_1"), ENCODER_2.name),
    "conditioner_embedders_0_model": ENCODER_2.name,  # the refiner's only one, OpenCLIP's
}
# No writer puts so many before a layer's name; a stranger's name could be of nothing else.
_MOST_WORDS = 10
_WORD = re.compile(f"({'|'.join(sorted(_WORDS, key=len, reverse=True))})_")


def flat(name: str) -> str:
    """A layer's name without its dots."""
    return name.replace(".", "_")


def readings(key: str) -> Iterator[tuple[str | None, str]]:
    """What a module's name may mean: a model, or None where that is not said, and a layer's flat name."""
    rest, model = flat(key), None
    yield model, rest
    for _ in range(_MOST_WORDS):
        if (match := _WORD.match(rest)) is None:
            return
        rest, model = rest[match.end() :], _WORDS[match[1]] or model
        yield model, rest


def said_model(key: str) -> str | None:
    """The model that the words before a module's name mean, if they say."""
    return [model for model, _ in readings(key)][-1]
