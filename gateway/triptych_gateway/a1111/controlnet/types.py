"""The extension's types of control: which preprocessors and models go together, by what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from triptych.sdk.preprocessing import Preprocessor
from triptych_gateway.a1111.controlnet import image_prompts
from triptych_gateway.a1111.controlnet.preprocessors import NONE, label_of

_NO_MODEL = "None"
# What else a ControlNet's name may have that is of a type.
_HINTS: Mapping[str, tuple[str, ...]] = {
    "softedge": ("hed", "pidi"),
    "scribble": ("sketch",),
    "openpose": ("pose",),
    "normalmap": ("normal",),
    "segmentation": ("seg",),
    "ip2p": ("pix2pix",),
}


def types_of(
    preprocessors: Sequence[Preprocessor], titles: Sequence[str], adapters: Sequence[str] = ()
) -> dict[str, Any]:
    """By their names, "All" before them; `titles` are ControlNets', `adapters` those of IP-Adapters."""
    names = sorted({kind for each in preprocessors for kind in each.control_types} - {"All"})
    types = {name: _of(name, preprocessors, titles) for name in names}
    types[image_prompts.TYPE] = _type([NONE, *image_prompts.MODULES], adapters, image_prompts.MODULES[0])
    modules = [NONE, *map(label_of, preprocessors), *image_prompts.MODULES]
    return {"All": _type(modules, [*titles, *adapters], NONE), **types}


def _of(name: str, preprocessors: Iterable[Preprocessor], titles: Sequence[str]) -> dict[str, Any]:
    own = [label_of(each) for each in preprocessors if name in each.control_types]
    plain = "".join(filter(str.isalnum, name.lower()))
    fitting = [title for title in titles if any(hint in title.lower() for hint in (plain, *_HINTS.get(plain, ())))]
    told = _type([NONE, *own], fitting or titles, own[0])
    return {**told, "default_model": fitting[0] if fitting else _NO_MODEL}


def _type(modules: Sequence[str], models: Sequence[str], default: str) -> dict[str, Any]:
    return {
        "module_list": [*modules],
        "model_list": [_NO_MODEL, *models],
        "default_option": default,
        "default_model": _NO_MODEL,
    }
