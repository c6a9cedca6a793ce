"""Every name by which an adapter may speak of a component's layers, in one spelling: dots as underscores.

Kohya's files flatten names that way, and the dots cannot be told from underscores again: so the component's own names
are flattened instead, and nothing is guessed.
"""

from __future__ import annotations

from triptych.checkpoint import Component
from triptych.checkpoint.weights import is_text_encoder
from triptych.contract import UNET
from triptych.lora.algorithms import Role
from triptych.lora.open_clip import open_clip_name
from triptych.lora.original import original_name
from triptych.lora.wrappers import flat

_WEIGHT = ".weight"
# What old diffusers called CLIP's projections.
_OLD_CLIP = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


def own_names(component: Component) -> dict[str, str]:
    """Layers' weights by the layers' flat names in today's and in older diffusers and transformers."""
    found: dict[str, str] = {}
    for layer, parameter in _layers(component).items():
        found[flat(layer)] = parameter
        stem, _, last = layer.rpartition(".")
        if is_text_encoder(component.architecture.class_name):
            old = f"{stem}.{_OLD_CLIP.get(last, last)}"
            found |= {flat(f"text_model.{name}"): parameter for name in (layer, old)}
            found[flat(old)] = parameter
        elif layer.endswith(".to_out.0"):
            found[flat(stem)] = parameter
    return found


def original_names(component: Component) -> dict[str, str]:
    """Layers' weights by the layers' flat names in the original UNet (sgm), or in OpenCLIP."""
    is_text = is_text_encoder(component.architecture.class_name)
    if not is_text and component.architecture.model != UNET.name:
        return {}
    names = {
        open_clip_name(layer) if is_text else original_name(component, layer): parameter
        for layer, parameter in _layers(component).items()
    }
    return {flat(name): parameter for name, parameter in names.items() if name is not None}


def layer_parameter(weight: str, role: Role) -> str:
    """A layer's weight itself, or the bias beside it."""
    return f"{weight.removesuffix(_WEIGHT)}.{role}"


def is_table(weight: str) -> bool:
    """Whether a layer is a table of embeddings, whose rows are looked up and which no engine lets be exchanged."""
    return weight.endswith(f"_embedding{_WEIGHT}")


def exchangeable(component: Component) -> set[str]:
    """All parameters that an adapter may change: of every layer but the tables."""
    weights = [weight for weight in _layers(component).values() if not is_table(weight)]
    return {
        layer_parameter(weight, role) for weight in weights for role in ("weight", "bias")
    } & component.weights.keys()


def _layers(component: Component) -> dict[str, str]:
    return {name.removesuffix(_WEIGHT): name for name in component.weights if name.endswith(_WEIGHT)}
