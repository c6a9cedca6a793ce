"""Finds the parameters that a LoRA's modules change; what finds no place is named, never dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from triptych.checkpoint import Component
from triptych.contract import ENCODER, UNET
from triptych.lora.failures import refused, shown
from triptych.lora.family import likely_family
from triptych.lora.file import LoraFile, LoraModule
from triptych.lora.parameters import flat, original_names, own_names

# The models that a LoRA can change, each with the flat beginnings of its modules' names, longest first.
_PREFIXES = {
    "text_encoder_2_": "",
    "text_encoder_": ENCODER.name,
    "lora_te2_": "",
    "lora_te1_": ENCODER.name,
    "lora_te_": ENCODER.name,
    "lora_unet_": UNET.name,
    "unet_": UNET.name,
}
_MODELS = (ENCODER.name, UNET.name)
_PEFT_PREFIX = "base_model.model."
_SHOWN = 3


@dataclass(frozen=True)
class Target:
    """One parameter, by its canonical name in the component's weights, and the module that changes it."""

    parameter: str
    module: LoraModule


@dataclass(frozen=True)
class Match:
    """Targets by the contract's model name ("encoder" and "unet" always there), and all names without a place."""

    targets: Mapping[str, tuple[Target, ...]]
    left_over: tuple[str, ...]


def match_lora(lora: LoraFile, components: Mapping[str, Component]) -> Match:
    """Matches with every component given; LoraInvalidError if nothing fits any of them, or a shape does not.

    A module of a component that is not given is left over.
    """
    targets = {model: find_targets(lora, model, components[model]) if model in components else () for model in _MODELS}
    placed = {target.module.key for found in targets.values() for target in found}
    if not placed:
        raise refused(lora.path, _nothing_fits(lora, components))
    left_over = [module.key for module in lora.modules if module.key not in placed]
    return Match(targets, tuple(sorted([*left_over, *lora.unknown])))


def find_targets(lora: LoraFile, model: str, component: Component) -> tuple[Target, ...]:
    """The parameters of one component that the LoRA changes, perhaps none, in the order of the component's weights.

    LoraInvalidError if a module bears a parameter's name and not its shape.
    """
    modules = dict(_modules_of(lora, model))
    found: dict[str, Target] = {}
    # Where a file has a parameter under both of its names, today's goes first and the other is left over.
    for names in (own_names(model, component), original_names(model, component)):
        for name, parameter in names.items():
            if name in modules:
                found.setdefault(parameter, Target(parameter, modules[name]))
    targets = tuple(found[parameter] for parameter in component.weights if parameter in found)
    for target in targets:
        _check_shape(lora, target, component.weights[target.parameter].shape)
    return targets


def _modules_of(lora: LoraFile, model: str) -> Iterator[tuple[str, LoraModule]]:
    """Modules that may belong to `model`, by flat name; without a model in its name, one may belong to any."""
    if model not in _MODELS:
        return
    for module in lora.modules:
        name = flat(module.key.removeprefix(_PEFT_PREFIX).replace(".processor.", "."))
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
        if _PREFIXES.get(prefix, model) == model:
            yield name.removeprefix(prefix), module


def _check_shape(lora: LoraFile, target: Target, shape: tuple[int, ...]) -> None:
    module = target.module
    down = module.down.shape
    if module.mid is not None:
        down = (*down[:2], *module.mid.shape[2:])
    if module.up.shape[0] == shape[0] and _squeezed(down[1:]) == _squeezed(shape[1:]):
        return
    mid = f", mid {module.mid.shape}" if module.mid is not None else ""
    raise refused(
        lora.path,
        f"{shown(module.key)}: down {module.down.shape}{mid} and up {module.up.shape} do not fit {target.parameter} "
        f"{shape}; the LoRA was made for another model{likely_family(lora)}",
    )


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A 1x1 convolution is a matrix product: SD 1.x has convolutions where SD 2.x has matrices."""
    return shape[:1] if shape[1:] == (1, 1) else shape


def _nothing_fits(lora: LoraFile, components: Mapping[str, Component]) -> str:
    keys = ", ".join(shown(module.key) for module in lora.modules[:_SHOWN])
    known = [name for model in _MODELS if model in components for name in own_names(model, components[model]).values()]
    return (
        f"none of its {len(lora.modules)} modules is part of this checkpoint; they are called {keys}; the checkpoint "
        f"has {', '.join(known[:_SHOWN]) or 'nothing that a LoRA could change'}; the LoRA was made for another model"
        f"{likely_family(lora)}"
    )
