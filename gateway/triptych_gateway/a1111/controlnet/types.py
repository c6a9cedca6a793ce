"""The extension's types of control: which preprocessors and ControlNets go together, by what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from triptych.sdk.preprocessing import Preprocessor
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


def types_of(preprocessors: Sequence[Preprocessor], titles: Sequence[str]) -> dict[str, Any]:
    """By their names, "All" before them."""
    names = sorted({kind for each in preprocessors for kind in each.control_types} - {"All"})
    return {
        "All": _type([NONE, *map(label_of, preprocessors)], titles, NONE),
        **{name: _of(name, preprocessors, titles) for name in names},
    }


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
