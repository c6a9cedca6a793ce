"""A1111's text: prompt, negative prompt, and a last line of `Name: value` pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from triptych.contract.pictures.samplers import BY_SCHEDULER, Sampler
from triptych.sdk.parameters import GenerateParameters
from triptych.sdk.reading.picture_request import PictureRequest

_NEGATIVE = "Negative prompt:"
# As the web UI asks of a last line before it takes it for one of pairs.
_LEAST_PAIRS = 3
_NUMBER = re.compile(r"-?\d{1,19}(\.\d{1,19})?", re.ASCII)
_SIZE = re.compile(r"(\d{1,9})x(\d{1,9})", re.ASCII)
_FILE_ENDING = re.compile(r"\.(safetensors|ckpt|pt|bin)$")
# Said of the program, or again by another pair.
_ZEROS = "force_zeros_for_empty_prompt"
_SILENT = {"Version", "Lora hashes", "Model hash", "VAE hash", "Batch size", "Batch position", "RNG", _ZEROS}
_NUMBERS = {
    "Steps": "num_inference_steps",
    "CFG scale": "guidance_scale",
    "Seed": "seed",
    "Variation seed": "subseed",
    "Variation seed strength": "subseed_strength",
    "Image CFG scale": "image_guidance_scale",
    "Eta": "eta",
    "Eta DDIM": "eta",
    "Refiner switch at": "refiner_start",
    "Mask blur": "mask_blur",
    "Masked area padding": "padding_mask_crop",
    "guidance_rescale": "guidance_rescale",
}
_SIZES = {"Size": ("width", "height")}
_TEXTS = {name: name for name in ("prompt_2", "negative_prompt_2", "engine")} | {"Model": "checkpoint"}
_OF_HIRES = {"Hires upscale": "scale", "Hires steps": "num_inference_steps"}
_STRENGTH_OF_HIRES = "Hires denoising strength"
_UPSCALERS = {
    "latent", "latent_antialiased", "latent_bicubic", "latent_bicubic_antialiased", "latent_nearest",
    "latent_nearest_exact", "lanczos", "bicubic", "bilinear", "nearest",
}  # fmt: skip
_OTHER_NOISE = "RNG: the web UI drew its noise on a GPU, where it differs from a CPU's"


def infotext_request(text: str) -> PictureRequest:
    """Never fails: what is not understood is left out, and said so."""
    prompt, negative, pairs = parts_of(text)
    parameters: dict[str, Any] = {"prompt": prompt, "negative_prompt": negative}
    is_ours = pairs.get("Version", "").startswith("Triptych")
    left_out = [] if is_ours or pairs.get("RNG") == "CPU" else [_OTHER_NOISE]
    if pairs.get(_ZEROS) == "True" and not negative:
        del parameters["negative_prompt"]
    for name, value in pairs.items():
        found = {} if name in _SILENT else _read(name, value, pairs)
        if found is None or found.keys() - GenerateParameters.__annotations__.keys():
            left_out.append(f"{name}: {value}")
        else:
            parameters |= found
    if "strength" in parameters:
        left_out.append("Denoising strength: is of an image that is not in the picture; bring it as image")
    batch, index = (_number(pairs.get(name, "")) for name in ("Batch size", "Batch position"))
    # The web UI's have seeds of their own; ours says so of those alone that one seed has drawn together.
    if is_ours and isinstance(batch, int) and isinstance(index, int) and 0 <= index < batch:
        parameters["num_images_per_prompt"] = batch
    else:
        index = 0
    return PictureRequest(parameters, left_out, "a1111", int(index), hashes=_hashes(pairs))


def parts_of(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt, and the `Name: value` pairs of the last line."""
    *lines, last = text.strip().split("\n")
    pairs = dict(_pairs(last))
    if len(pairs) < _LEAST_PAIRS:
        lines, pairs = [*lines, last], {}
    start = next((number for number, line in enumerate(lines) if line.startswith(_NEGATIVE)), len(lines))
    negative = "\n".join(lines[start:]).removeprefix(_NEGATIVE).strip()
    return "\n".join(lines[:start]).strip(), negative, pairs


def _hashes(pairs: Mapping[str, str]) -> dict[str, str]:
    told = {"checkpoint": pairs.get("Model hash", ""), "vae": pairs.get("VAE hash", "")}
    return {name: digest for name, digest in told.items() if digest}


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """In time that grows with the line alone."""
    at, decoder = 0, json.JSONDecoder()
    while (colon := line.find(":", at)) >= 0:
        name, start = line[at:colon].strip(), colon + 1
        while line[start : start + 1] == " ":
            start += 1
        comma = line.find(",", start)
        if line[start : start + 1] == '"':
            try:
                value, end = decoder.raw_decode(line, start)
                comma = line.find(",", end)
                yield name, str(value)
                at = len(line) if comma < 0 else comma + 1
                continue
            except ValueError:
                pass
        end = len(line) if comma < 0 else comma
        yield name, line[start:end].strip()
        at = end + 1


def _read(name: str, value: str, pairs: Mapping[str, str]) -> dict[str, Any] | None:
    """What one pair asks for; None where it is not known, or not what it should be."""
    number, size = _number(value), _SIZE.fullmatch(value)
    if name in _NUMBERS and number is not None:
        return {_NUMBERS[name]: number}
    if name in _TEXTS:
        return {_TEXTS[name]: value}
    if name in _SIZES and size:
        return dict(zip(_SIZES[name], (int(size[1]), int(size[2])), strict=True))
    if name in _READERS:
        return _READERS[name](value, pairs)
    return None


def _number(value: str) -> int | float | None:
    if not _NUMBER.fullmatch(value):
        return None
    return float(value) if "." in value else int(value)


def _is_hires(pairs: Mapping[str, str]) -> bool:
    return "Hires upscale" in pairs or "Hires resize" in pairs


def _hires(_value: str, pairs: Mapping[str, str]) -> dict[str, Any]:
    """The second pass that all its pairs ask for."""
    found: dict[str, Any] = {part: _number(pairs.get(name, "")) for name, part in _OF_HIRES.items()}
    if size := _SIZE.fullmatch(pairs.get("Hires resize", "")):
        found |= {"width": int(size[1]), "height": int(size[2])}
    found["strength"] = _number(pairs.get(_STRENGTH_OF_HIRES, pairs.get("Denoising strength", "")))
    found["upscaler"] = _upscaler(pairs)
    if not found["num_inference_steps"]:  # as many as at first
        del found["num_inference_steps"]
    return {"hires": {part: value for part, value in found.items() if value is not None}}


def _upscaler(pairs: Mapping[str, str]) -> str | None:
    """Ours for "Latent (nearest-exact)", say; None for a model, which an operator may not have."""
    name = re.sub(r"[ ()-]+", "_", pairs.get("Hires upscaler", "").lower()).strip("_")
    return name if name in _UPSCALERS else None


def _upscaled(value: str, pairs: Mapping[str, str]) -> dict[str, Any] | None:
    return _hires(value, pairs) if _upscaler(pairs) else None


def _vae(value: str, _pairs: Mapping[str, str]) -> dict[str, Any]:
    """Which goes by its file's name."""
    return {"vae": _FILE_ENDING.sub("", value)}


def _refiner(value: str, _pairs: Mapping[str, str]) -> dict[str, Any]:
    """Its name and its hash, "xl [31e35c80fc]"."""
    return {"refiner": re.sub(r" \[[0-9a-f]+\]$", "", value)}


def _sampler(value: str, pairs: Mapping[str, str]) -> dict[str, Any] | None:
    scheduler = scheduler_of(value, pairs.get("Schedule type", ""))
    return {"scheduler": scheduler} if scheduler else None


def _schedule(value: str, pairs: Mapping[str, str]) -> dict[str, Any] | None:
    """Read with its sampler."""
    return {} if scheduler_of(pairs.get("Sampler", ""), value) else None


def _clip_skip(value: str, _pairs: Mapping[str, str]) -> dict[str, Any] | None:
    """Which counts from 1."""
    number = _number(value)
    if not isinstance(number, int) or number < 1:
        return None
    return {"clip_skip": number - 1} if number > 1 else {}


def _strength(value: str, pairs: Mapping[str, str]) -> dict[str, Any] | None:
    if _is_hires(pairs) and _STRENGTH_OF_HIRES not in pairs:
        return {}
    return None if (number := _number(value)) is None else {"strength": number}


def _resized(value: str, _pairs: Mapping[str, str]) -> dict[str, Any] | None:
    size = _SIZE.fullmatch(value)
    return {"seed_resize_from": (int(size[2]), int(size[1]))} if size else None


def _tiling(value: str, _pairs: Mapping[str, str]) -> dict[str, Any] | None:
    return {"tiling": True} if value == "True" else None


def scheduler_of(sampler: str, schedule: str) -> str:
    """Ours for the web UI's names, of today and before version 1.9, when one name stood for both; "" for none."""
    if sampler in BY_SCHEDULER:
        return sampler
    schedule = schedule.title()
    if not schedule and sampler.endswith(" Karras"):
        sampler, schedule = sampler.removesuffix(" Karras"), "Karras"
    own = {each.name: name for name, each in BY_SCHEDULER.items() if not each.schedule}
    if schedule in ("", "Automatic", "Uniform") and sampler in own:
        return own[sampler]
    # An old text that names no schedule means the plain one, "Automatic" the sampler's best.
    wanted = Sampler(sampler, {"": "Uniform", "Automatic": "Karras"}.get(schedule, schedule))
    return next((name for name, each in BY_SCHEDULER.items() if each == wanted), "")


_READERS: Mapping[str, Callable[[str, Mapping[str, str]], dict[str, Any] | None]] = {
    "VAE": _vae,
    "Refiner": _refiner,
    "Sampler": _sampler,
    "Schedule type": _schedule,
    "Clip skip": _clip_skip,
    "Denoising strength": _strength,
    "Seed resize from": _resized,
    "Tiling": _tiling,
    "Hires resize": _hires,
    "Hires upscaler": _upscaled,
    _STRENGTH_OF_HIRES: _hires,
    **dict.fromkeys(_OF_HIRES, _hires),
}
