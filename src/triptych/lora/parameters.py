"""Every name under which a LoRA may speak of a component's parameters, in one spelling: dots as underscores.

Kohya's files flatten names that way, and the dots cannot be told from underscores again: so the component's own names
are flattened instead, and nothing is guessed.
"""

from __future__ import annotations

from triptych.checkpoint import Component
from triptych.checkpoint.weights import is_text_encoder
from triptych.contract import UNET
from triptych.lora.original import original_name

_WEIGHT = ".weight"
_CHANGEABLE_DIMENSIONS = (2, 4)
# What old diffusers called CLIP's projections.
_OLD_CLIP = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


def flat(name: str) -> str:
    """A module's name without its dots."""
    return name.replace(".", "_")


def own_names(component: Component) -> dict[str, str]:
    """Parameters by the flat names of their modules in today's and in older diffusers and transformers."""
    found: dict[str, str] = {}
    for module, parameter in _changeable(component).items():
        found[flat(module)] = parameter
        stem, _, last = module.rpartition(".")
        if is_text_encoder(component.architecture.class_name):
            old = f"{stem}.{_OLD_CLIP.get(last, last)}"
            found |= {flat(f"text_model.{name}"): parameter for name in (module, old)}
            found[flat(old)] = parameter
        elif module.endswith(".to_out.0"):
            found[flat(stem)] = parameter
    return found


def original_names(component: Component) -> dict[str, str]:
    """Parameters by the flat names of their modules in the original UNet (sgm), which kohya's SDXL files speak of."""
    if component.architecture.model != UNET.name:
        return {}
    names = {original_name(component, module): parameter for module, parameter in _changeable(component).items()}
    return {flat(name): parameter for name, parameter in names.items() if name is not None}


def _changeable(component: Component) -> dict[str, str]:
    """Parameters by module: matrices and convolutions; a table of embeddings is no matrix product."""
    return {
        name.removesuffix(_WEIGHT): name
        for name, info in component.weights.items()
        if name.endswith(_WEIGHT)
        and not name.endswith(f"_embedding{_WEIGHT}")
        and len(info.shape) in _CHANGEABLE_DIMENSIONS
    }
