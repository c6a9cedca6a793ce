"""Errors about the server's fields, told about A1111's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from triptych.errors import TriptychError

_FIELDS: Mapping[str, str] = {
    "num_inference_steps": "steps",
    "guidance_scale": "cfg_scale",
    "num_images_per_prompt": "batch_size",
    "scheduler": "sampler_name",
    "seeds": "seed",
    "subseeds": "subseed",
    "images": "init_images",
    "image": "init_images",
    "mask_images": "mask",
    "mask_image": "mask",
    "strength": "denoising_strength",
    "checkpoint": "sd_model_checkpoint",
    "vae": "sd_vae",
    "clip_skip": "CLIP_stop_at_last_layers",
    "refiner": "refiner_checkpoint",
    "refiner_start": "refiner_switch_at",
    "padding_mask_crop": "inpaint_full_res_padding",
    "masked_content": "inpainting_fill",
    "invert_mask": "inpainting_mask_invert",
    "image_guidance_scale": "image_cfg_scale",
    "image_format": "samples_format",
    "quality": "jpeg_quality",
    "hires.scale": "hr_scale",
    "hires.width": "hr_resize_x",
    "hires.height": "hr_resize_y",
    "hires.upscaler": "hr_upscaler",
    "hires.strength": "denoising_strength",
    "hires.num_inference_steps": "hr_second_pass_steps",
    "upscale.scale": "upscaling_resize",
    "upscale.width": "upscaling_resize_w",
    "upscale.height": "upscaling_resize_h",
    "upscale.upscaler": "upscaler_1",
    "task_id": "force_task_id",
}


@contextmanager
def in_their_words(own: Mapping[str, str] | None = None) -> Iterator[None]:
    """Within it errors name A1111's fields; `own` are those that a call has otherwise than most."""
    fields = {**_FIELDS, **(own or {})}
    try:
        yield
    except TriptychError as error:
        field = error.metadata.get("field", "")
        base, bracket, index = (field, "", "") if field in fields else field.partition("[")
        if base not in fields:
            raise
        renamed = f"{fields[base]}{bracket}{index}"
        message = f"{renamed}{error.message.removeprefix(field)}" if error.message.startswith(field) else error.message
        told = {name: value for name, value in error.metadata.items() if name != "field"}
        raise type(error)(message, field=renamed, **told) from error
