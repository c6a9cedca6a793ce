"""What a call has made, as the web UI tells it: the JSON in an answer's `info`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from triptych import __version__
from triptych.errors import TriptychError
from triptych.sdk.catalog import Checkpoint
from triptych.sdk.reading.infotext import parts_of
from triptych.sdk.reading.texts import texts_of

# Which have a place of their own in it.
_BASE = {
    "Steps", "Sampler", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE hash", "VAE", "Variation seed",
    "Variation seed strength", "Seed resize from", "Denoising strength", "Clip skip", "Version",
    "Batch size", "Batch position",
}  # fmt: skip
# As the request has them.
_ASKED = (
    "prompt", "negative_prompt", "subseed_strength", "width", "height", "cfg_scale", "steps",
    "batch_size", "seed_resize_from_w", "seed_resize_from_h", "denoising_strength",
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One that was made: its file, and which of all that were asked for it is."""

    file: bytes = field(repr=False)
    index: int
    infotext: str
    size: tuple[int, int]

    @classmethod
    def of(cls, file: bytes, index: int, size: tuple[int, int]) -> Picture:
        """With what the file says of itself."""
        return cls(file, index, infotext_of(file), size)


def infotext_of(file: bytes) -> str:
    """A1111's text in a file; "" where there is none, a JPEG's too long for it, say."""
    try:
        return texts_of(file).parameters
    except TriptychError:
        return ""


def info_of(
    asked: dict[str, Any],
    seeds: Sequence[int],
    subseeds: Sequence[int],
    pictures: Sequence[Picture],
    checkpoint: Checkpoint,
    grids: int = 0,
    **more: Any,
) -> str:
    """`asked` has the request's own fields; of the seeds those of pictures that were made are told.

    `grids`: how many stand before the pictures, each of them all together.
    """
    told = [seeds[picture.index] for picture in pictures] or [seeds[0]]
    told_too = [subseeds[picture.index] for picture in pictures] or [subseeds[0]]
    infotexts = [picture.infotext for picture in pictures]
    pairs = parts_of(infotexts[0])[2] if infotexts else {}
    info = {
        **{name: asked[name] for name in _ASKED},
        "all_prompts": [asked["prompt"]] * len(told),
        "all_negative_prompts": [asked["negative_prompt"]] * len(told),
        "seed": told[0],
        "all_seeds": told,
        "subseed": told_too[0],
        "all_subseeds": told_too,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": checkpoint.name,
        "sd_model_hash": pairs.get("Model hash", checkpoint.short_hash),
        "sd_vae_name": pairs.get("VAE"),
        "sd_vae_hash": pairs.get("VAE hash"),
        "extra_generation_params": {name: value for name, value in pairs.items() if name not in _BASE},
        "index_of_first_image": grids,
        "infotexts": [*infotexts[:grids], *infotexts],
        "styles": [],
        "job_timestamp": time.strftime("%Y%m%d%H%M%S"),
        "is_using_inpainting_conditioning": checkpoint.purpose == "inpainting",
        "version": f"Triptych {__version__}",
    }
    return json.dumps(info | more)
