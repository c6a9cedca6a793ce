"""What the properties of an ONNX file say of the colours that it is given, where it wants others than its kind does.

onnx.helper.set_model_props(model, {"triptych.mean": "0.5, 0.5, 0.5", "triptych.std": "0.5, 0.5, 0.5"})
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from triptych.checkpoint.configs import broken

_PREFIX = "triptych."
_ORDERS = ("RGB", "BGR")
_COLOURS = 3


class ToldNormalization(TypedDict, total=False):
    """(colour * white - mean) / std of colours from 0 to 1, the channels in that order."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    white: float
    order: str


def told_normalization(path: Path, metadata: Mapping[str, str]) -> ToldNormalization:
    """What is told and no more; CheckpointInvalidError about a property that is wrong, or that nobody knows."""
    told: ToldNormalization = {}
    for key, text in metadata.items():
        if not key.startswith(_PREFIX):
            continue
        name = key.removeprefix(_PREFIX)
        if name == "mean":
            told["mean"] = _colour(path, key, text)
        elif name == "std":
            told["std"] = _colour(path, key, text)
        elif name == "white":
            (told["white"],) = _numbers(path, key, text, 1)
        elif name == "order" and text.strip() in _ORDERS:
            told["order"] = text.strip()
        else:
            problem = f"its property {key[:80]} is {text[:80]!r}"
            raise broken(path, f"{problem}; mean, std, white and order ({' or '.join(_ORDERS)}) are known")
    if not all(told.get("std", (1.0,))) or told.get("white") == 0:
        raise broken(path, "its properties triptych.std and triptych.white must not be 0")
    return told


def _colour(path: Path, key: str, text: str) -> tuple[float, float, float]:
    first, second, third = _numbers(path, key, text, _COLOURS)
    return first, second, third


def _numbers(path: Path, key: str, text: str, count: int) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise broken(path, f"its property {key} must be {count} numbers with commas between, not {text[:80]!r}")
    return numbers
