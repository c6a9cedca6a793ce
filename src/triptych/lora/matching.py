"""Finds the parameters that an adapter's modules change; what finds no place is named, never dropped in silence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from triptych.checkpoint import Component
from triptych.contract import ENCODER, ENCODER_2, LORA_MODELS
from triptych.lora.algorithms import Role
from triptych.lora.algorithms.decomposition import fits as fits_magnitudes
from triptych.lora.failures import refused, shown
from triptych.lora.family import ONLY_ENCODER, likely_family
from triptych.lora.file import LoraFile, LoraModule
from triptych.lora.open_clip import is_fused, is_turned
from triptych.lora.parameters import is_table, layer_parameter, original_names, own_names
from triptych.lora.wrappers import readings, said_model

_SHOWN = 3
# No product needs a higher rank than its layer's lesser extent. People train many layers at one rank, and some are
# small: what is below this takes no time there.
_ANY_RANK = 1024
_EXCESS = 4
# How many pieces an unknown algorithm's tensor may have after its layer's name.
_MOST_PIECES = 3


@dataclass(frozen=True)
class Target:
    """One parameter, by its canonical name in the component's weights, and the module that changes it."""

    parameter: str
    module: LoraModule
    role: Role = "weight"


@dataclass(frozen=True)
class Match:
    """Targets by the contract's model name (all of LORA_MODELS always there), and all names without a place."""

    targets: Mapping[str, tuple[Target, ...]]
    left_over: tuple[str, ...]


def match_lora(lora: LoraFile, components: Mapping[str, Component]) -> Match:
    """Matches with every component given; LoraInvalidError if nothing fits any of them, or a shape does not.

    Also if it was made for a model with more or fewer text encoders, a module without a model in its name fits two, or
    a layer here is changed in a way that is not known. A module of a component that is not given is left over.
    """
    for key in (*(module.key for module in lora.modules), *lora.unknown):
        if problem := _of_open_clip(key):
            raise refused(lora.path, f"{shown(key)}: {problem}; convert it to transformers' names")
    given = {model: components[model] for model in LORA_MODELS if model in components}
    targets = dict.fromkeys(LORA_MODELS, ()) | {
        model: find_targets(lora, model, component) for model, component in given.items()
    }
    placed = Counter(key for found in targets.values() for key in {target.module.key for target in found})
    for model, component in given.items():
        for target in _candidates(lora, model, component):
            if target.module.key not in placed and not _fits(
                target, component
            ):  # and its name says no model, or it would have been refused already
                raise refused(lora.path, _misfit(lora, target, component))
    if not placed:
        raise refused(lora.path, _nothing_fits(lora, given))
    if counted := _miscounted(lora, given):
        raise refused(lora.path, f"{counted}; the LoRA was made for another model{likely_family(lora)}")
    if twice := next((key for key, count in placed.items() if count > 1), ""):
        raise refused(lora.path, f"{shown(twice)} fits two models; name the one that it is for, text_encoder_2. say")
    left_over = sorted([*({module.key for module in lora.modules} - placed.keys()), *lora.unknown])
    if unknown := next(_unknown_changes(left_over, given), ""):
        raise refused(lora.path, f"{shown(unknown)}: changes a layer here in a way that is not known")
    if lost := next(_lost_parts(lora, targets, given), ""):
        problem = "changes a layer here that has another name in the file, and more of it; give it one name"
        raise refused(lora.path, f"{shown(lost)}: {problem}")
    return Match(targets, tuple(left_over))


def _of_open_clip(key: str) -> str:
    """Why what OpenCLIP calls so is no layer here; "" where it may be."""
    if is_fused(key):
        return "changes queries, keys and values in one, as OpenCLIP has them"
    return "changes OpenCLIP's projection, which is the transpose of the one here" if is_turned(key) else ""


def find_targets(lora: LoraFile, model: str, component: Component) -> tuple[Target, ...]:
    """The parameters of one component that the adapter changes, perhaps none, in the order of the component's weights.

    LoraInvalidError if a module of this model bears a layer's name and does not fit it. One without a model in its name
    is of the model that it fits.
    """
    misfits: dict[str, Target] = {}
    candidates = _candidates(lora, model, component)
    for target in candidates:
        if not _fits(target, component):
            if said_model(target.module.key):
                raise refused(lora.path, _misfit(lora, target, component))
            misfits[target.module.key] = target
    targets = [target for target in candidates if target.module.key not in misfits]
    if table := next((target for target in targets if is_table(target.parameter)), None):
        problem = f"{shown(table.module.key)}: changes {table.parameter}, a table of embeddings, which is not exchanged"
        raise refused(lora.path, problem)
    for target in targets:
        _check_rank(target, component)
    return tuple(targets)


def _check_rank(target: Target, component: Component) -> None:
    """LoraInvalidError where a file asks for hours of work on one layer."""
    module, (outputs, *inputs) = target.module, component.weights[target.parameter].shape
    if target.role == "weight" and module.rank > max(_ANY_RANK, _EXCESS * min(outputs, math.prod(inputs))):
        problem = f"rank or block size {module.rank} is far beyond {target.parameter} {(outputs, *inputs)}"
        raise refused(module.path, f"{shown(module.key)}: {problem}")


def _candidates(lora: LoraFile, model: str, component: Component) -> tuple[Target, ...]:
    """The parameters that are named, whatever their shapes."""
    if model not in LORA_MODELS:
        return ()
    chosen: dict[str, str] = {}
    # Where a file has a layer under both of its names, today's goes first and the other is left over.
    for names in (own_names(component), original_names(component)):
        for key in dict.fromkeys(module.key for module in lora.modules):
            if weight := _located(key, model, names):
                chosen.setdefault(weight, key)
    modules: dict[str, list[LoraModule]] = {}
    for module in lora.modules:
        modules.setdefault(module.key, []).append(module)
    return tuple(
        Target(layer_parameter(weight, role), module, role)
        for weight in component.weights
        if weight in chosen
        for module in modules[chosen[weight]]
        for role in module.roles
        if not (module.algorithm.multiplies and layer_parameter(weight, role) not in component.weights)
    )


def _located(key: str, model: str, names: Mapping[str, str]) -> str | None:
    """The weight of the layer that is called so, if the words before its name allow for this model."""
    return next((names[rest] for said, rest in readings(key) if rest in names and said in (None, model)), None)


def _unknown_changes(left_over: Sequence[str], components: Mapping[str, Component]) -> Iterator[str]:
    """Names that go on after that of a layer of this checkpoint, as those of a tensor of no known algorithm do."""
    names = {model: own_names(component) | original_names(component) for model, component in components.items()}
    for name in left_over:
        pieces = name.split(".")
        if pieces[-1] == "alpha":  # of a module that is not there: it changes nothing
            continue
        keys = [".".join(pieces[:-count]) for count in range(1, min(_MOST_PIECES, len(pieces) - 1) + 1)]
        if any(_located(key, model, names[model]) for key in keys for model in names):
            yield name


def _lost_parts(
    lora: LoraFile, targets: Mapping[str, Sequence[Target]], components: Mapping[str, Component]
) -> Iterator[str]:
    """Modules of layers whose other name was taken, that are no mere copies: they change what that one does not."""
    keys = {target.module.key for found in targets.values() for target in found}
    others = [module for module in lora.modules if module.key not in keys]
    for model, component in components.items() if others else ():
        names = own_names(component) | original_names(component)
        taken = {target.parameter for target in targets[model]}
        for module in others:
            weight = _located(module.key, model, names)
            if weight is None or taken.isdisjoint({weight, layer_parameter(weight, "bias")}):
                continue
            changed = {layer_parameter(weight, role) for role in module.roles}
            if module.algorithm.multiplies:
                changed &= component.weights.keys()
            if not changed <= taken:
                yield module.key


def _fits(target: Target, component: Component) -> bool:
    module, info = target.module, component.weights.get(target.parameter)
    if info is None or not module.algorithm.fits(module.shapes, target.role, info.shape):
        return False
    part = module.magnitudes
    return target.role == "bias" or part is None or fits_magnitudes(part, module.shapes[part], info.shape)


def _misfit(lora: LoraFile, target: Target, component: Component) -> str:
    module, info = target.module, component.weights.get(target.parameter)
    if info is None:
        return f"{shown(module.key)}: its layer has no {target.role} here that it could change"
    parts = [f"{part} {shape}" for part, shape in module.shapes.items()]
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    return (
        f"{shown(module.key)}: {listed} do not fit {target.parameter} {info.shape}; "
        f"the LoRA was made for another model{likely_family(lora)}"
    )


def _miscounted(lora: LoraFile, components: Mapping[str, Component]) -> str:
    """How the names of its modules count text encoders otherwise than the checkpoint does; "" where they agree."""
    keys = [module.key for module in lora.modules]
    if ENCODER_2.name in components:
        only = any(key.startswith(ONLY_ENCODER) for key in keys)
        return "its names are those for a model with one text encoder" if only else ""
    both = ENCODER.name in components and any(said_model(key) == ENCODER_2.name for key in keys)
    return "its names are those for a model with two text encoders" if both else ""


def _nothing_fits(lora: LoraFile, components: Mapping[str, Component]) -> str:
    keys = ", ".join(shown(module.key) for module in lora.modules[:_SHOWN])
    known = [name for component in components.values() for name in own_names(component).values()]
    family = likely_family(lora)
    return (
        f"none of its {len(lora.modules)} modules is part of this checkpoint; they are called {keys}; the checkpoint "
        f"has {', '.join(known[:_SHOWN]) or 'nothing that a LoRA could change'}"
        + (f"; the LoRA was made for another model{family}" if family else "")
    )
