"""A1111's hires fix as ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from triptych.errors import invalid
from triptych_gateway.a1111.drawing.requests import Txt2Img

_SAME = ("", "none", "use same checkpoint", "use same sampler", "use same scheduler")


def hires_of(request: Txt2Img) -> dict[str, Any]:
    """The parameters of a second pass, and of a first one that has a size of its own."""
    first = _first_size(request)
    if not request.enable_hr:
        return first
    _check_same(request)
    hires: dict[str, Any] = {"upscaler": upscaler_of(request.hr_upscaler), "strength": request.denoising_strength}
    if first:
        hires |= {"width": request.width, "height": request.height}
    elif request.hr_resize_x or request.hr_resize_y:
        hires |= {"width": request.hr_resize_x or None, "height": request.hr_resize_y or None}
    else:
        hires["scale"] = request.hr_scale
    if request.hr_second_pass_steps:
        hires["num_inference_steps"] = request.hr_second_pass_steps
    return {**first, "hires": hires}


def upscaler_of(label: str | None) -> str | None:
    """Ours for "Latent (bicubic antialiased)" or "Lanczos", say; a network's name is its own. None: the default."""
    if not label:
        return None
    name = re.sub(r"[ ()-]+", "_", label.lower()).strip("_")
    return name if name in _OURS else label


_OURS = {
    "latent", "latent_antialiased", "latent_bicubic", "latent_bicubic_antialiased", "latent_nearest",
    "latent_nearest_exact", "lanczos", "bicubic", "bilinear", "nearest",
}  # fmt: skip


def _first_size(request: Txt2Img) -> dict[str, Any]:
    if not (request.firstphase_width or request.firstphase_height):
        return {}
    return {
        "width": request.firstphase_width or request.width,
        "height": request.firstphase_height or request.height,
    }


def _check_same(request: Txt2Img) -> None:
    """InvalidArgumentError about what the second pass is to have otherwise than the first."""
    others: Mapping[str, tuple[str | None, ...]] = {
        "hr_checkpoint_name": (request.override_settings.get("sd_model_checkpoint"),),
        "hr_sampler_name": (request.sampler_name or request.sampler_index,),
        "hr_scheduler": (request.scheduler or "automatic",),
        "hr_prompt": (request.prompt,),
        "hr_negative_prompt": (request.negative_prompt,),
    }
    for field, same in others.items():
        value = getattr(request, field)
        if value and value.lower() not in _SAME and value not in same:
            raise invalid(field, "is another than the first pass has, which is not supported here; leave it out")
