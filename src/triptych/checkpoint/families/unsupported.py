"""What a checkpoint is whose family is not supported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def unsupported(class_name: object, supported: Mapping[str, Sequence[str]]) -> str:
    """What is wrong with a `model_index.json` that names this class; `supported` are the classes by family."""
    named = class_name if isinstance(class_name, str) else ""
    family = next((name for start, name in _OTHERS.items() if named.startswith(start)), "")
    which = f", which is {family}" if family else ""
    served = "supported are " + ", ".join(f"{title} ({classes[0]}, ...)" for title, classes in supported.items())
    return f"_class_name is {str(class_name)[:100]!r}{which} and not supported; {served}"
