"""Stands in for TensorRT's package: it computes on a CPU, and knows no name that the real bindings lack.

`names_*.json` are read from the bindings themselves (tools/tensorrt_names.py). What is written here is checked against
them, and so is every attribute that the package sets; enums are made from them.
"""

from __future__ import annotations

import enum
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.engine.tensorrt.standin import building, running
from tests.engine.tensorrt.standin.part import Part

VERSIONS = ("10.13", "11.4")
PARTS = (*building.PARTS, *running.PARTS)
_SHORT = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BF16", "int64": "INT64", "bool": "BOOL"}


def real_names(version: str) -> dict[str, Any]:
    names: dict[str, Any] = json.loads((Path(__file__).parent / f"names_{version.replace('.', '_')}.json").read_text())
    return names


def stand_in(version: str) -> Any:
    """The package; each has classes of its own, so that what a test sets there is forgotten with it."""
    names = real_names(version)
    trt = SimpleNamespace(__version__=f"{version}.0")
    for name, members in names["enums"].items():
        setattr(trt, name, enum.IntEnum(name, members, start=0))
    for short, member in _SHORT.items():
        setattr(trt, short, trt.DataType[member])
    for part in PARTS:
        _check(part, names["classes"][part.__name__])
        own = {"_real": names["classes"][part.__name__], "_trt": trt}
        own |= {name: type(value)(value) for name, value in vars(part).items() if isinstance(value, (list, frozenset))}
        setattr(trt, part.__name__, type(part.__name__, (part,), own))
    return trt


def _check(part: type[Part], real: Mapping[str, Any]) -> None:
    """Every public name is a real one, and every method's arguments are those of a real overload."""
    for name, member in vars(part).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            assert name in real["properties"], f"{part.__name__}.{name}"
        else:
            arguments = [argument for argument in inspect.signature(member).parameters if argument != "self"]
            overloads = [[a.rstrip("=") for a in o.split(", ") if a] for o in real["methods"][name].split(" | ")]
            assert arguments in overloads, f"{part.__name__}.{name}{arguments} is none of {overloads}"
