"""The request's `infotext`: what it says counts where the request itself says nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from triptych.sdk.reading.infotext import parts_of

_FIELDS: Mapping[str, str] = {
    "Steps": "steps",
    "Sampler": "sampler_name",
    "Schedule type": "scheduler",
    "CFG scale": "cfg_scale",
    "Image CFG scale": "image_cfg_scale",
    "Seed": "seed",
    "Variation seed": "subseed",
    "Variation seed strength": "subseed_strength",
    "Denoising strength": "denoising_strength",
    "Mask blur": "mask_blur",
    "Refiner": "refiner_checkpoint",
    "Refiner switch at": "refiner_switch_at",
    "Tiling": "tiling",
    "Hires upscale": "hr_scale",
    "Hires upscaler": "hr_upscaler",
    "Hires steps": "hr_second_pass_steps",
}
_SIZES: Mapping[str, tuple[str, str]] = {
    "Size": ("width", "height"),
    "Hires resize": ("hr_resize_x", "hr_resize_y"),
    "Seed resize from": ("seed_resize_from_w", "seed_resize_from_h"),
}
_SETTINGS: Mapping[str, str] = {"Clip skip": "CLIP_stop_at_last_layers", "VAE": "sd_vae"}
_SIZE = re.compile(r"(\d{1,9})x(\d{1,9})", re.ASCII)


def with_infotext(given: Mapping[str, Any]) -> dict[str, Any]:
    """The request's fields, and of its infotext's those that it has not."""
    text = given.get("infotext")
    return {**_told(text), **given, "override_settings": _settings(given, text)} if isinstance(text, str) else {**given}


def _told(text: str) -> dict[str, Any]:
    prompt, negative, pairs = parts_of(text)
    told: dict[str, Any] = {"prompt": prompt, "negative_prompt": negative}
    told |= {field: pairs[name] for name, field in _FIELDS.items() if name in pairs}
    for name, fields in _SIZES.items():
        if size := _SIZE.fullmatch(pairs.get(name, "")):
            told |= dict(zip(fields, size.groups(), strict=True))
    if "Hires upscale" in pairs or "Hires resize" in pairs:
        told["enable_hr"] = True
    return told


def _settings(given: Mapping[str, Any], text: str) -> Any:
    """A model that is not here is an error, like any that a request names; what is no mapping is refused later."""
    pairs = parts_of(text)[2]
    told = {setting: pairs[name] for name, setting in _SETTINGS.items() if name in pairs}
    if model := pairs.get("Model hash") or pairs.get("Model"):
        told["sd_model_checkpoint"] = model
    own = given.get("override_settings", {})
    return {**told, **own} if isinstance(own, dict) else own
