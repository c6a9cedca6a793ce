"""A case made on both sides, by diffusers' own pipeline and by the servers, and how far apart they are."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

import triptych
from tests.engine.wrapped import wrapped
from tests.parity.controls import ADAPTERS, CONTROLS, HOLES, UNIONS, adapters, controlnets, union
from tests.parity.formulas import TORCHS, torchs_first
from tests.parity.matrix import CONTROLLED, MORE, Case
from tests.parity.prompts import looked_at
from triptych_orchestrator.sampling.schedulers import SCHEDULERS

# Of 255, in any pixel.
TOLERANCE = 2
SEED = 7
PROMPT = "a large red circle"
# A second seed, a second size, and how many pixels a latent is wide.
SUBSEED = 11
HIRES_SCALE = 1.5
SIZE = (80, 64)
VAE_SCALE = 8
# The places of the types that are asked for among those of a union.
UNION_TYPES = {"canny": 3, "depth": 1, "tile": 6}
PIPELINES = {
    "text-to-image": diffusers.AutoPipelineForText2Image,
    "image-to-image": diffusers.AutoPipelineForImage2Image,
    "inpaint": diffusers.AutoPipelineForInpainting,
    "inpaint-seen": diffusers.AutoPipelineForInpainting,
    "instructed": diffusers.DiffusionPipeline,
}


def difference(case: Case, client: triptych.Client, folder: Path, others: Mapping[str, Path]) -> int:
    """The largest of any pixel; 255 where the pictures are not even of one size or number.

    `folder` is the checkpoint's as diffusers reads it, and `others` are those of refiners and ControlNets by name.
    """
    values = arguments(case)
    if "refiner" in values and case.engine == "torch":
        values["refiner"] += "-torch"
    own = {"paste_original": False} if "inpaint" in case.task else {}
    ours = client.generate(**own, checkpoint=case.checkpoint, seed=seeds(case), **asked(values))
    theirs = expected(case, folder, others)
    assert np.asarray(theirs[0]).std() > 5  # a picture of one colour would agree with anything
    if [image.size for image in ours.images] != [image.size for image in theirs]:
        return 255
    pairs = zip(ours.images, theirs, strict=True)
    return max(int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max()) for a, b in pairs)


def arguments(case: Case) -> dict[str, Any]:
    """The parameters of a call, by the names that both sides have for them."""
    values = {"prompt": PROMPT, **dict(case.parameters)}
    values |= MORE[values.pop("more")]
    if "size" in values:
        values["width"], values["height"] = values.pop("size")
    if "upscaler" in values or "resize_from" in values:
        values["width"], values["height"] = SIZE
    if "images" in values:
        count, size = values.pop("images"), values.pop("image_size")
        values["image"] = [drawn(size, number) for number in range(2 if count.startswith("two") else 1)]
        values["num_images_per_prompt"] = 1 if count == "one" else 2
    if values.get("padding_mask_crop"):
        (values["image"],) = values["image"]
    if "mask" in values:
        values |= {"mask_image": masks(values.pop("mask"), size), **size_of(size, values["padding_mask_crop"])}
    if "controls" in values:
        names = controlnets(case.family)
        if values["controls"] in UNIONS:
            names = (union(case.family),) * 2
        elif values["controls"] in ADAPTERS:
            names = adapters(case.family)
        known = {**CONTROLS, **UNIONS, **ADAPTERS, **HOLES}
        looks = enumerate(zip(names, known[values["controls"]], strict=False))
        seen = size if values.get("padding_mask_crop") else (72, 64)  # diffusers cuts both by the same coordinates
        values["controls"] = [
            {"name": name, **({} if "preprocessor" in look else {"image": drawn(seen, number + 2)}), **look}
            for number, (name, look) in looks
        ]
    if "prompts" in values:
        pictures = [drawn((90, 64), 3), drawn((64, 80), 4), drawn((70, 70), 5)]
        values["ip_adapters"] = looked_at(case.family, values.pop("prompts"), pictures)
        values["width"], values["height"] = 64, 72
    if case.task in ("refined", "prompted") and values["strength"]:
        values["image"] = drawn((64, 72), 0)
    return {name: value for name, value in values.items() if name != "strength" or value}


def asked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as our clients have them, where several of them are one."""
    asked = dict(values)
    if "upscaler" in asked:
        names = {"upscaler": "upscaler", "hires_strength": "strength", "hires_steps": "num_inference_steps"}
        asked["hires"] = {ours: asked.pop(name) for name, ours in names.items()} | {"scale": HIRES_SCALE}
    if "resize_from" in asked:
        size = asked.pop("resize_from")
        asked["seed_resize_from"] = size and tuple(VAE_SCALE * extent for extent in size)
        asked["subseed"] = SUBSEED if asked["subseed_strength"] else None
    return asked


def seeds(case: Case) -> int | list[int]:
    """One for the whole batch, or one for each picture."""
    return [SEED, SEED + 2] if dict(case.parameters).get("images", "").endswith("seeds") else SEED


def drawn(size: tuple[int, int], number: int) -> Image.Image:
    """A picture of rings and colours, another one for another number."""
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    rings = np.sin(12 * np.hypot(x - 0.3 * number, y + 0.2)) / 2 + 0.5
    return Image.fromarray((np.stack([rings, (x + 1) / 2, rings * (y + 1) / 2], axis=-1) * 255).astype(np.uint8))


def masks(look: str, size: tuple[int, int]) -> Image.Image | list[Image.Image]:
    """White discs, elsewhere for another number, or a grey one of another size with soft edges."""
    if look == "small and grey":
        x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 30))
        return Image.fromarray((255 * np.clip(1.2 - 1.5 * np.hypot(x, y), 0, 1)).astype(np.uint8))
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    discs = [Image.fromarray(np.hypot(x - 0.3 * number, y + 0.1) < 0.5) for number in range(2)]
    return discs if look == "discs" else discs[0].convert("RGB")


def size_of(size: tuple[int, int], padding_mask_crop: int | None) -> dict[str, int]:
    """That of what is drawn, which diffusers' inpainting takes from the checkpoint in every case."""
    width, height = (72, 64) if padding_mask_crop else (extent - extent % 8 for extent in size)
    return {"width": width, "height": height}


def expected(case: Case, folder: Path, others: Mapping[str, Path]) -> list[Image.Image]:
    """diffusers' pictures."""
    values = arguments(case)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in np.atleast_1d(seeds(case)).tolist()]
    values["generator"] = generators if len(generators) > 1 else generators[0]
    task = CONTROLLED.get(case.task, case.task)
    if task not in PIPELINES:
        task = "image-to-image" if "image" in values else "text-to-image"
    if task == "instructed":  # diffusers' for Stable Diffusion XL would take the checkpoint's own size
        values |= size_of(values["image"][0].size, None)
    if "ip_adapters" in values:
        return prompted(task, folder, others, **values)
    controls = values.pop("controls", [])
    nets = tuple(dict.fromkeys(others[control["name"]] for control in controls))
    pipe = pipeline(task, folder, nets)
    if "refiner" in values:
        return refined(pipe, others, **values)
    if "upscaler" in values:
        return enlarged(pipe, pipeline("image-to-image", folder, nets), controls, **values)
    controls = [control if "image" in control else control | hole(values) for control in controls]
    values |= adapted(values, controls) if case.task == "adapted" else controlled(task, controls)
    if controls and task == "image-to-image":
        values |= size_of(values["image"][0].size, None)
    if "resize_from" in values:
        return varied(pipe, **values)
    images: list[Image.Image] = made(pipe, **values)
    return images


def hole(values: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """What an inpaint ControlNet looks at, as `make_inpaint_condition` of diffusers' documentation has it."""
    size = values["width"], values["height"]
    (image,), mask = values["image"], values["mask_image"]
    pixels = np.array(image.convert("RGB").resize(size, Image.Resampling.LANCZOS), np.float32) / 255
    pixels[np.array(mask.convert("L").resize(size, Image.Resampling.LANCZOS), np.float32) / 255 > 0.5] = -1.0
    return {"image": torch.from_numpy(pixels.transpose(2, 0, 1)[None])}


def refined(pipe: Any, refiners: Mapping[str, Path], refiner: str, refiner_start: float, **values: Any) -> Any:
    """Two pipelines one after the other; what the first does not know, or begins with, is the other's alone."""
    first = {name: value for name, value in values.items() if "aesthetic" not in name}
    latents = made(pipe, **first, denoising_end=refiner_start, output_type="latent")
    values = {name: value for name, value in values.items() if name not in ("image", "strength", "width", "height")}
    return made(pipeline("image-to-image", refiners[refiner]), image=latents, denoising_start=refiner_start, **values)


def controlled(task: str, controls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a pipeline for ControlNets is told of them; of one by itself, of several in lists."""
    if not controls:
        return {}
    told = {
        "image" if task == "text-to-image" else "control_image": [control["image"] for control in controls],
        "controlnet_conditioning_scale": [control.get("conditioning_scale", 1.0) for control in controls],
        "control_guidance_start": [control.get("guidance_start", 0.0) for control in controls],
        "control_guidance_end": [control.get("guidance_end", 1.0) for control in controls],
    }
    if "union_type" in controls[0]:
        told |= {"control_image": [control["image"] for control in controls]}
        told.pop("image", None)
        return told | {"control_mode": [UNION_TYPES[control["union_type"]] for control in controls]}
    return told if len(controls) > 1 else {name: value[0] for name, value in told.items()}


def adapted(values: dict[str, Any], controls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same of one for T2I-Adapters, of which that of Stable Diffusion XL alone knows a window's end."""
    values.pop("guess_mode")
    told = {
        "image": [control["image"] for control in controls],
        "adapter_conditioning_scale": [control.get("conditioning_scale", 1.0) for control in controls],
    }
    if len(controls) == 1:
        told = {name: value[0] for name, value in told.items()}
    end = controls[0].get("guidance_end")
    return told | ({"adapter_conditioning_factor": end} if end else {})


def prompted(
    task: str, folder: Path, others: Mapping[str, Path], ip_adapters: Sequence[Mapping[str, Any]], **values: Any
) -> Any:
    """Of a pipeline that IP-Adapters were loaded into; image-to-image takes its image's size."""
    if task == "image-to-image":
        del values["width"], values["height"]
    pipe = looking(task, folder, tuple(others[adapter["name"]] for adapter in ip_adapters))
    pipe.set_ip_adapter_scale([adapter["scale"] for adapter in ip_adapters])
    return made(pipe, **values, ip_adapter_image=[adapter["image"] for adapter in ip_adapters])


def enlarged(
    pipe: Any,
    again: Any,
    controls: Sequence[Mapping[str, Any]],
    upscaler: str,
    hires_strength: float,
    hires_steps: int | None,
    **values: Any,
) -> Any:
    """Text-to-image, what that gives made larger, and image-to-image of that with the seed once more."""
    size = round(HIRES_SCALE * values["width"]), round(HIRES_SCALE * values["height"])
    larger: Any
    first = values | controlled("text-to-image", controls)
    if upscaler in TORCHS:
        latents = made(pipe, **first, output_type="latent")
        extents = size[1] // VAE_SCALE, size[0] // VAE_SCALE
        larger = torch.nn.functional.interpolate(latents, extents, **TORCHS[upscaler])
    else:
        kind = Image.Resampling[upscaler.upper()]
        larger = [image.resize(size, kind) for image in made(pipe, **first)]
    values = {name: value for name, value in values.items() if name not in ("width", "height")}
    values |= {"generator": torch.Generator("cpu").manual_seed(SEED)}
    values["num_inference_steps"] = hires_steps or values["num_inference_steps"]
    if controls:  # whose pipelines take the size from them
        values |= {"width": size[0], "height": size[1], **controlled("image-to-image", controls)}
    return made(again, image=larger, strength=hires_strength, **values)


def varied(pipe: Any, subseed_strength: float | None, resize_from: tuple[int, int] | None, **values: Any) -> Any:
    """With latents made as A1111 makes noise; the generator goes on after those of the picture's own size."""
    shape = (values["num_images_per_prompt"], 4, values["height"] // VAE_SCALE, values["width"] // VAE_SCALE)
    own = torch.randn(shape, generator=values["generator"])
    latents = torchs_first(own, SEED, SUBSEED, subseed_strength or 0.0, resize_from)
    return made(pipe, **values, latents=latents)


def made(pipe: Any, scheduler: str, tiling: bool | str = "", **values: Any) -> Any:
    """What a pipeline makes with the scheduler of that name, "" for its own."""
    own = pipe.scheduler
    if scheduler:
        info = SCHEDULERS[scheduler]
        pipe.scheduler = getattr(diffusers, info.class_name).from_config(own.config, **info.overrides)
    try:
        with warnings.catch_warnings(), wrapped("xy" if tiling is True else tiling, pipe.unet, pipe.vae):
            warnings.simplefilter("ignore", FutureWarning)  # of one image for several pictures
            return pipe(**values).images
    finally:
        pipe.scheduler = own


def _net(path: Path) -> Any:
    named = json.loads((path / "config.json").read_text())["_class_name"]
    return getattr(diffusers, named).from_pretrained(path)


@functools.cache
def pipeline(task: str, path: Path, nets: tuple[Path, ...] = ()) -> Any:
    """diffusers' own, loaded once."""
    loaded: Any = [_net(path) for path in nets]
    more, kind = {"controlnet": loaded if len(nets) > 1 else loaded[0]} if nets else {}, PIPELINES[task]
    if nets and isinstance(loaded[0], diffusers.T2IAdapter):
        more = {"adapter": diffusers.MultiAdapter(loaded) if len(nets) > 1 else loaded[0]}
        is_xl = (path / "text_encoder_2").is_dir()
        kind = diffusers.StableDiffusionXLAdapterPipeline if is_xl else diffusers.StableDiffusionAdapterPipeline
    made = kind.from_pretrained(path, **more)
    made.set_progress_bar_config(disable=True)
    # Where diffusers 0.42 still looks for the final norm of a skipped layer, and transformers 5 has no more.
    if made.text_encoder is not None:
        object.__setattr__(made.text_encoder, "text_model", made.text_encoder)
    return made


@functools.cache
def looking(task: str, path: Path, adapters: tuple[Path, ...]) -> Any:
    """One of its own for these IP-Adapters: they stay in a UNet once they are loaded."""
    pipe = pipeline.__wrapped__(task, path)
    pipe.load_ip_adapter([file.parent for file in adapters], "", [file.name for file in adapters])
    return pipe
