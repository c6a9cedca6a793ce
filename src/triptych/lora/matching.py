"""Finds the parameters that a LoRA's modules change; what finds no place is named, never dropped in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from triptych.checkpoint import Component
from triptych.contract import ENCODER, ENCODER_2, LORA_MODELS, UNET
from triptych.lora.failures import refused, shown
from triptych.lora.family import ONLY_ENCODER, SECOND_ENCODER, likely_family
from triptych.lora.file import LoraFile, LoraModule
from triptych.lora.parameters import flat, original_names, own_names

# The models that a LoRA can change, each with the flat beginnings of its modules' names, longest first.
_PREFIXES = {
    "text_encoder_2_": ENCODER_2.name,
    "text_encoder_": ENCODER.name,
    "lora_te2_": ENCODER_2.name,
    "lora_te1_": ENCODER.name,
    "lora_te_": ENCODER.name,
    "lora_unet_": UNET.name,
    "unet_": UNET.name,
}
_PEFT_PREFIX = "base_model.model."
_SHOWN = 3


@dataclass(frozen=True)
class Target:
    """One parameter, by its canonical name in the component's weights, and the module that changes it."""

    parameter: str
    module: LoraModule


@dataclass(frozen=True)
class Match:
    """Targets by the contract's model name (all of LORA_MODELS always there), and all names without a place."""

    targets: Mapping[str, tuple[Target, ...]]
    left_over: tuple[str, ...]


def match_lora(lora: LoraFile, components: Mapping[str, Component]) -> Match:
    """Matches with every component given; LoraInvalidError if nothing fits any of them, or a shape does not.

    Also if it was made for a model with more or fewer text encoders, or a module without a model in its name fits two.
    A module of a component that is not given is left over.
    """
    given = {model: components[model] for model in LORA_MODELS if model in components}
    targets = dict.fromkeys(LORA_MODELS, ()) | {
        model: find_targets(lora, model, component) for model, component in given.items()
    }
    placed = Counter(target.module.key for found in targets.values() for target in found)
    for model, component in given.items():
        for target in _candidates(lora, model, component):
            if target.module.key not in placed:  # and its name says no model, or it would have been refused already
                raise refused(lora.path, _misfit(lora, target, component))
    if not placed:
        raise refused(lora.path, _nothing_fits(lora, given))
    if counted := _miscounted(lora, given):
        raise refused(lora.path, f"{counted}; the LoRA was made for another model{likely_family(lora)}")
    if twice := next((key for key, count in placed.items() if count > 1), ""):
        raise refused(lora.path, f"{shown(twice)} fits two models; name the one that it is for, text_encoder_2. say")
    left_over = [module.key for module in lora.modules if module.key not in placed]
    return Match(targets, tuple(sorted([*left_over, *lora.unknown])))


def find_targets(lora: LoraFile, model: str, component: Component) -> tuple[Target, ...]:
    """The parameters of one component that the LoRA changes, perhaps none, in the order of the component's weights.

    LoraInvalidError if a module of this model bears a parameter's name and not its shape. One without a model in its
    name is of the model that it fits.
    """
    targets = []
    for target in _candidates(lora, model, component):
        if _fits(target, component):
            targets.append(target)
        elif _prefix(target.module):
            raise refused(lora.path, _misfit(lora, target, component))
    return tuple(targets)


def _candidates(lora: LoraFile, model: str, component: Component) -> tuple[Target, ...]:
    """The parameters that are named, whatever their shapes."""
    modules = dict(_modules_of(lora, model))
    found: dict[str, Target] = {}
    # Where a file has a parameter under both of its names, today's goes first and the other is left over.
    for names in (own_names(component), original_names(component)):
        for name, parameter in names.items():
            if name in modules:
                found.setdefault(parameter, Target(parameter, modules[name]))
    return tuple(found[parameter] for parameter in component.weights if parameter in found)


def _modules_of(lora: LoraFile, model: str) -> Iterator[tuple[str, LoraModule]]:
    """Modules that may belong to `model`, by flat name; without a model in its name, one may belong to any."""
    if model not in LORA_MODELS:
        return
    for module in lora.modules:
        prefix = _prefix(module)
        if _PREFIXES.get(prefix, model) == model:
            yield _flat_name(module).removeprefix(prefix), module


def _flat_name(module: LoraModule) -> str:
    return flat(module.key.removeprefix(_PEFT_PREFIX).replace(".processor.", "."))


def _prefix(module: LoraModule) -> str:
    """How the module's flat name begins that says its model; "" where it does not."""
    name = _flat_name(module)
    return next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")


def _fits(target: Target, component: Component) -> bool:
    module, shape = target.module, component.weights[target.parameter].shape
    down = module.down.shape
    if module.mid is not None:
        down = (*down[:2], *module.mid.shape[2:])
    return module.up.shape[0] == shape[0] and _squeezed(down[1:]) == _squeezed(shape[1:])


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A 1x1 convolution is a matrix product: SD 1.x has convolutions where SD 2.x has matrices."""
    return shape[:1] if shape[1:] == (1, 1) else shape


def _misfit(lora: LoraFile, target: Target, component: Component) -> str:
    module = target.module
    mid = f", mid {module.mid.shape}" if module.mid is not None else ""
    return (
        f"{shown(module.key)}: down {module.down.shape}{mid} and up {module.up.shape} do not fit {target.parameter} "
        f"{component.weights[target.parameter].shape}; the LoRA was made for another model{likely_family(lora)}"
    )


def _miscounted(lora: LoraFile, components: Mapping[str, Component]) -> str:
    """How the names of its modules count text encoders otherwise than the checkpoint does; "" where they agree."""

    def says(beginnings: tuple[str, ...]) -> bool:
        return any(module.key.startswith(beginnings) for module in lora.modules)

    if ENCODER_2.name in components:
        return "its names are those for a model with one text encoder" if says(ONLY_ENCODER) else ""
    only = ENCODER.name in components and says(SECOND_ENCODER)
    return "its names are those for a model with two text encoders" if only else ""


def _nothing_fits(lora: LoraFile, components: Mapping[str, Component]) -> str:
    keys = ", ".join(shown(module.key) for module in lora.modules[:_SHOWN])
    known = [name for component in components.values() for name in own_names(component).values()]
    return (
        f"none of its {len(lora.modules)} modules is part of this checkpoint; they are called {keys}; the checkpoint "
        f"has {', '.join(known[:_SHOWN]) or 'nothing that a LoRA could change'}; the LoRA was made for another model"
        f"{likely_family(lora)}"
    )
