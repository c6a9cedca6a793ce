"""Guesses which family of models a LoRA was made for, to say in an error what its modules give away."""

from __future__ import annotations

from triptych.contract import ENCODER_2
from triptych.lora.file import LoraFile
from triptych.lora.wrappers import said_model

# Cross-attention's keys are made from the text encoder's hidden states, whose width is the family's.
_WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL"}
# What only a model with one text encoder has in its names: kohya's count from one where there are two.
ONLY_ENCODER = ("lora_te_",)
_TRANSFORMERS = ("double_blocks", "single_blocks", "single_transformer_blocks", "joint_blocks")


def likely_family(lora: LoraFile) -> str:
    """A few words to end a sentence with, or none: " (SDXL, by the look of it)"."""
    family = _family(lora)
    return f" ({family}, by the look of it)" if family else ""


def _family(lora: LoraFile) -> str | None:
    keys = [module.key for module in lora.modules]
    for module in lora.modules:
        width = module.algorithm.inputs(module.shapes)
        if "attn2" in module.key and module.key.endswith(("to_k", "to_v")) and width in _WIDTHS:
            return _WIDTHS[width]
    if any(key.startswith("transformer.") or any(part in key for part in _TRANSFORMERS) for key in keys):
        return "a diffusion transformer such as Flux or Stable Diffusion 3"
    if any(said_model(key) == ENCODER_2.name for key in keys):
        return "SDXL"
    if any(key.startswith(ONLY_ENCODER) for key in keys):
        return "Stable Diffusion 1.x or 2.x"
    return None
