"""What img2img asks for beside what every call does: images, masks, and what is drawn anew of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from triptych.errors import invalid
from triptych.sdk.catalog import Checkpoint, Limits
from triptych_gateway.a1111.drawing.parameters import check_idle, size_of
from triptych_gateway.a1111.drawing.requests import Img2Img
from triptych_gateway.a1111.drawing.resizing import JUST_RESIZE, LATENT, shaped, white_mask, whole_mask
from triptych_gateway.errors import HttpError
from triptych_gateway.incoming.images import image_file
from triptych_gateway.settings import Settings

_FILLS = ("fill", "original", "latent_noise", "latent_nothing")
_IDLE: Mapping[str, tuple[object, ...]] = {"initial_noise_multiplier": (None, 1.0), "latent_mask": (None,)}


def with_batch(request: Img2Img) -> Img2Img:
    """The same, a batch being as large as there are images, where there are several."""
    count = len(request.init_images or ())
    if not count:
        raise HttpError(404, "init_images: Init image not found; send at least one")
    if count > max(1, request.batch_size):
        raise invalid("init_images", f"are {count}, more than batch_size {request.batch_size}; raise that")
    return request.model_copy(update={"batch_size": count}) if count > 1 else request


async def images_of(request: Img2Img, checkpoint: Checkpoint, limits: Limits, settings: Settings) -> dict[str, Any]:
    """The parameters."""
    _check(request)
    size, most_pixels = size_of(request, checkpoint), limits.max_image_pixels
    given = request.init_images or []
    files = [await image_file(each, f"init_images[{at}]", settings) for at, each in enumerate(given)]
    is_part = request.mask is not None and request.inpaint_full_res
    # The server refuses a size that is none, or too large; until then nothing is made of that size.
    is_possible = min(size) > 0 and size[0] * size[1] <= limits.max_pixels
    mode = request.resize_mode if is_possible and not is_part else JUST_RESIZE

    def shape(field: str, file: bytes) -> bytes:
        return shaped(field, file, mode, size, most_pixels)

    images = [await asyncio.to_thread(shape, f"init_images[{at}]", file) for at, file in enumerate(files)]
    parameters: dict[str, Any] = {"image": images, "strength": request.denoising_strength}
    if checkpoint.purpose == "instructed":  # which does all steps
        parameters |= {"strength": None, "image_guidance_scale": request.image_cfg_scale}
    if request.mask is None:
        # A UNet that sees a mask is told that all is to be drawn, as the web UI tells it.
        return {**parameters, **({"mask_image": whole_mask()} if checkpoint.purpose == "inpainting" else {})}
    mask = await image_file(request.mask, "mask", settings)
    mask = await asyncio.to_thread(lambda: shape("mask", white_mask("mask", mask, most_pixels)))
    return {**parameters, "mask_image": mask, **_inpainting(request)}


def _inpainting(request: Img2Img) -> dict[str, Any]:
    return {
        "mask_blur": request.mask_blur_x if request.mask_blur is None else request.mask_blur,
        "masked_content": _FILLS[request.inpainting_fill],
        "invert_mask": bool(request.inpainting_mask_invert),
        "padding_mask_crop": request.inpaint_full_res_padding if request.inpaint_full_res else None,
    }


def _check(request: Img2Img) -> None:
    check_idle(request, _IDLE)
    if request.resize_mode == LATENT:
        raise invalid("resize_mode", "3, resizing latents, is not supported here; send 0, 1 or 2")
    if request.mask is None:
        return
    if request.mask_blur is None and request.mask_blur_x != request.mask_blur_y:
        raise invalid("mask_blur_x", "must be the same as mask_blur_y here")
    if not request.mask_round:
        raise invalid("mask_round", "false, soft inpainting, is not supported here; leave it out")
