"""What a directory is that is no checkpoint of a supported family, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from triptych.contract.checkpoints import CONVERT

# By how the names of a family's pipeline classes begin, the longest first.
_OTHERS = {
    "StableDiffusionXL": "Stable Diffusion XL for another task",
    "StableDiffusion3": "Stable Diffusion 3",
    "StableDiffusionControlNet": "Stable Diffusion with a ControlNet",
    "StableCascade": "Stable Cascade",
    "LatentConsistency": "a latent consistency model",
    "AltDiffusion": "AltDiffusion",
    "AuraFlow": "AuraFlow",
    "Chroma": "Chroma",
    "Flux": "Flux",
    "Hunyuan": "Hunyuan",
    "IF": "DeepFloyd IF",
    "Kandinsky": "Kandinsky",
    "Kolors": "Kolors",
    "LTX": "LTX",
    "Lumina": "Lumina",
    "PixArt": "PixArt",
    "QwenImage": "Qwen-Image",
    "Sana": "Sana",
    "Wan": "Wan",
    "Wuerstchen": "Wuerstchen",
}
_MOST_NAMED = 5


def unsupported(class_name: object, supported: Mapping[str, Sequence[str]]) -> str:
    """What is wrong with a `model_index.json` that names this class; `supported` are the classes by family."""
    named = class_name if isinstance(class_name, str) else ""
    family = next((name for start, name in _OTHERS.items() if named.startswith(start)), "")
    which = f", which is {family}" if family else ""
    served = "supported are " + ", ".join(f"{title} ({classes[0]}, ...)" for title, classes in supported.items())
    return f"_class_name is {str(class_name)[:100]!r}{which} and not supported; {served}"


def no_index(directory: Path) -> str:
    """What to say of a directory without a `model_index.json`."""
    missing = "the file is missing; "
    if (directory / "snapshots").is_dir():
        return f"{missing}this is a hub's cache: give the directory of a revision, {directory / 'snapshots'}/..."
    if (directory.parent / "model_index.json").is_file():
        return f"{missing}this is one component; give the directory that it lies in"
    if files := sorted(path.name for path in directory.glob("*") if path.suffix in (".safetensors", ".ckpt")):
        named = ", ".join(files[:_MOST_NAMED])
        return f"{missing}there are single files ({named}): choose one and {CONVERT}"
    return f"{missing}is this a diffusers-format directory?"
