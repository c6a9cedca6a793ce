"""Generation parameters, under diffusers' names, to a GenerateRequest.

request = build_request("a red circle", seed=7, num_inference_steps=20)

The server judges values and fills in defaults; only what protobuf cannot hold is refused here.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from google.protobuf.descriptor import FieldDescriptor

from triptych.errors import invalid
from triptych.sdk.controls import ControlChoice, set_controls
from triptych.sdk.fields import EXPECTED, set_field
from triptych.sdk.images import ImageInput, add_images
from triptych.sdk.loras import LoraChoice, lora_uses
from triptych.sdk.parts.enlarging import Hires, Upscale, set_hires, set_upscale
from triptych.sdk.parts.ip_adapters import IpAdapterChoice, set_ip_adapters
from triptych.v1.generation_pb2 import GenerateRequest


class GenerateParameters(TypedDict, total=False):
    """What `generate` and `stream` take by keyword; None, or leaving one out, means the server's default."""

    checkpoint: str | None
    """A name from `checkpoints()`; may be left out where the server has exactly one."""
    prompt_2: str | None
    """What a second text encoder reads; default: the prompt."""
    negative_prompt: str | None
    """Stable Diffusion XL's base may take None for another than "": zeros, as in diffusers."""
    negative_prompt_2: str | None
    """What a second text encoder reads; default: the negative prompt."""
    clip_skip: int | None
    """How many of the text encoder's last layers the prompt leaves out, as in diffusers."""
    image: ImageInput | Sequence[ImageInput] | None
    """Image-to-image: what to begin with, a PIL image, a path or a file's bytes; one for all, or one per picture. To a
    checkpoint that edits pictures: what to edit."""
    strength: float | None
    """How much of `image` is drawn anew, from 0 to 1; default as in diffusers 0.8, or 0.3 with Stable Diffusion XL, and
    with a mask 1.0, or 0.9999."""
    mask_image: ImageInput | Sequence[ImageInput] | None
    """Inpainting: what of `image` is drawn anew, white; black is kept. One for all, or one per picture."""
    padding_mask_crop: int | None
    """Draws the masked part alone, with so many pixels around it, as large as `width` x `height`, by default the
    checkpoint's own size, and lays it on the image; default: the whole image is drawn."""
    mask_blur: int | None
    """Pixels over which the mask's edges are softened; default 0."""
    masked_content: str | None
    """What lies under the mask at first: "original", the default, "fill", "latent_noise" or "latent_nothing"."""
    invert_mask: bool | None
    """Draws anew what is black; default False."""
    paste_original: bool | None
    """Where the mask is black the image's own pixels come back; default True. False: the whole is diffusers'."""
    expand: tuple[int, int, int, int] | None
    """Outpainting: (left, top, right, bottom), the pixels that `image` is to have more on each side."""
    expand_fill: str | None
    """What they begin with: "copy", the default, "reflect" or "noise"."""
    image_guidance_scale: float | None
    """With InstructPix2Pix: how closely the picture keeps to `image`, 1 or more; default 1.5."""
    num_inference_steps: int | None
    """Default 50, or 100 with InstructPix2Pix, as in diffusers."""
    guidance_scale: float | None
    """Default 7.5, Stable Diffusion XL's 5; at 1 and below guidance is off."""
    guidance_rescale: float | None
    """From 0, the default, to 1: how far guidance's excess contrast is taken back."""
    width: int | None
    """Pixels; default: the checkpoint's own, or the first image's, cut to what the checkpoint can draw."""
    height: int | None
    """Pixels; as `width`."""
    original_size: tuple[int, int] | None
    """(height, width) in pixels that Stable Diffusion XL is told; default: the picture's own."""
    crops_coords_top_left: tuple[int, int] | None
    """(top, left); default: (0, 0)."""
    target_size: tuple[int, int] | None
    """(height, width); default: the picture's own."""
    negative_original_size: tuple[int, int] | None
    """(height, width) for the negative prompt; default: `original_size`. Without `image` it counts together with
    `negative_target_size` alone, as in diffusers; a warning tells where it has no effect."""
    negative_crops_coords_top_left: tuple[int, int] | None
    """(top, left); default: (0, 0) where both negative sizes are given. Never counts with `image`, as in diffusers."""
    negative_target_size: tuple[int, int] | None
    """(height, width); default: `target_size`. See `negative_original_size`."""
    refiner: str | None
    """A second checkpoint, of Stable Diffusion XL, that does the last steps; each takes the LoRAs that fit it."""
    refiner_start: float | None
    """Where it takes over, between 0 and 1: `denoising_end` and `denoising_start` in diffusers. Default 0.8."""
    vae: str | None
    """A VAE that was registered alone, in the place of the checkpoint's own."""
    subseed: int | Sequence[int] | None
    """A variation: the seed whose noise is blended in by `subseed_strength`; one, or one per image. Default: random."""
    subseed_strength: float | None
    """From 0, the default, to 1: how much of it."""
    seed_resize_from: tuple[int, int] | None
    """(height, width) in pixels, for which the seed's noise is drawn; it is laid in the middle of the picture's own."""
    controls: Sequence[ControlChoice] | None
    """ControlNets that the picture is drawn under, each a Control or a mapping of its fields; they add up."""
    guess_mode: bool | None
    """As diffusers': ControlNets count for the prompt and not for the negative one; default False."""
    ip_adapters: Sequence[IpAdapterChoice] | None
    """IP-Adapters by which pictures are looked at beside the prompt, each an IpAdapter or a mapping of its fields."""
    hires: Hires | Mapping[str, Any] | None
    """Enlarge the finished pictures and draw them again at that size; a mapping of the same fields does as well."""
    image_format: str | None
    """What the files are to be: "png", the default, "jpeg" or "webp"; each says in its metadata how it was made."""
    quality: int | None
    """1 to 100: a JPEG's, default 95, or a WebP's, which is lossless without."""
    engine: str | None
    """Another engine than the checkpoint is registered with, "torch" say, for this request alone; what it needs is
    loaded beside what serves the others."""
    tiling: bool | str | None
    """Pictures whose edges meet where they are laid side by side: True, or along one axis, "x" or "y"."""
    upscale: Upscale | Mapping[str, Any] | None
    """Enlarge the pictures at last, without drawing them again; `Client.upscale` enlarges any."""
    aesthetic_score: float | None
    """How beautiful the picture is to be, which Stable Diffusion XL's refiner is told; default 6."""
    negative_aesthetic_score: float | None
    """The same for the negative prompt; default 2.5."""
    num_images_per_prompt: int | None
    """Default 1, or one for each image."""
    seed: int | Sequence[int] | None
    """One for the whole batch (as a torch.Generator in diffusers), or one per image; None: random."""
    scheduler: str | None
    """A name from `server_info().schedulers` or a diffusers class name; default: the checkpoint's own."""
    eta: float | None
    """DDIM's; default 0."""
    preview_every_steps: int | None
    """Every how many steps a Step carries a preview; default 0: never."""
    loras: Sequence[LoraChoice] | None
    """Each a name from `loras()`, (name, weight), or (name, UNet's weight, text encoder's weight); the first weight is
    1 unless given, the second is as the first. They add up, with those of `<lora:name:weight>` in the prompt."""
    priority: int | None
    """Of requests that wait, the highest go first; -100 to 100, default 0."""
    deadline_seconds: float | None
    """The server gives the request up when it is not done by then; default: never."""
    request_id: str | None
    """The caller's id, for `cancel` by the same client and the server's log; made by the server when left out."""


class UpscaleParameters(TypedDict, total=False):
    """Those of GenerateParameters that count where nothing is drawn."""

    image_format: str | None
    quality: int | None
    priority: int | None
    deadline_seconds: float | None
    request_id: str | None


def build_request(
    prompt: str,
    *,
    seed: int | Sequence[int] | None = None,
    subseed: int | Sequence[int] | None = None,
    image: ImageInput | Sequence[ImageInput] | None = None,
    mask_image: ImageInput | Sequence[ImageInput] | None = None,
    loras: Sequence[LoraChoice] | None = None,
    controls: Sequence[ControlChoice] | None = None,
    ip_adapters: Sequence[IpAdapterChoice] | None = None,
    hires: Hires | Mapping[str, Any] | None = None,
    tiling: bool | str | None = None,
    upscale: Upscale | Mapping[str, Any] | None = None,
    **fields: str | float | tuple[int, ...] | None,
) -> GenerateRequest:
    """The request, fields that are None left unset.

    Args:
        prompt: what the picture shows.
        seed: see GenerateParameters; 0 is a seed like any other.
        subseed: see GenerateParameters.
        image: see GenerateParameters; files are read now.
        mask_image: likewise.
        loras: see GenerateParameters.
        controls: likewise.
        ip_adapters: likewise.
        hires: see GenerateParameters.
        tiling: see GenerateParameters.
        upscale: see GenerateParameters.
        fields: the rest of GenerateParameters.

    Raises:
        InvalidArgumentError: a value does not fit its field's type or range, or an image cannot be read;
            `metadata["field"]` names it.
        TypeError: there is no such parameter.
    """
    unknown = sorted(fields.keys() - GenerateParameters.__annotations__.keys())
    if unknown:
        raise TypeError(f"no such generation parameter: {', '.join(unknown)}")
    request = GenerateRequest()
    set_field(request, "prompt", prompt)
    for field, value in fields.items():
        if value is not None:
            set_field(request, field, value)
    if tiling:
        set_field(request, "tiling", "xy" if tiling is True else tiling)
    for field, given in (("seed", seed), ("subseed", subseed)):
        if given is not None:
            getattr(request, f"{field}s").extend(_seeds(field, given))
    add_images(request, {"image": image, "mask_image": mask_image})
    if loras is not None:
        request.loras.extend(lora_uses(loras))
    if controls is not None:
        set_controls(request, controls)
    if ip_adapters is not None:
        set_ip_adapters(request, ip_adapters)
    if hires is not None:
        set_hires(request, hires)
    if upscale is not None:
        set_upscale(request, upscale)
    return request


def _seeds(field: str, seed: int | Sequence[int]) -> list[int]:
    try:
        seeds = [operator.index(each) for each in (seed if isinstance(seed, Iterable) else [seed])]
        GenerateRequest(seeds=seeds)  # tells of one that is too large
    except (TypeError, ValueError) as error:
        problem = f"must be {EXPECTED[FieldDescriptor.TYPE_UINT64]}, or a list of such, not {seed!r}"
        raise invalid(field, problem) from error
    return seeds
