"""The server's preprocessors as the extension's modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from triptych.errors import NotFoundError
from triptych.sdk.preprocessing import Preprocessor, PreprocessorParameter

NONE = "none"
_NUMBERS = ("processor_res", "threshold_a", "threshold_b")


def find(preprocessors: Sequence[Preprocessor], wanted: str, field: str) -> Preprocessor | None:
    """By any of its names, in any case; None for "none". NotFoundError about the field."""
    name = wanted.strip().lower()
    if name in ("", NONE):
        return None
    for each in preprocessors:
        if name in (other.lower() for other in (each.name, *each.aliases)):
            return each
    names = ", ".join([NONE, *(each.name for each in preprocessors)])
    raise NotFoundError(f"{field}: {wanted!r} is not a module here; there are {names}", field=field)


def numbers_of(preprocessor: Preprocessor | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Its own, of those given; one beyond its range means its default, as the extension has it."""
    parameters = {name: getattr(preprocessor, name, None) for name in _NUMBERS}
    return {
        name: given[name]
        for name, parameter in parameters.items()
        if parameter and parameter.minimum <= given[name] <= parameter.maximum
    }


def label_of(preprocessor: Preprocessor) -> str:
    """What it is called in the extension's menu."""
    return preprocessor.aliases[-1] if preprocessor.aliases else preprocessor.name


def detail_of(preprocessor: Preprocessor) -> dict[str, Any]:
    """Its sliders, as the extension tells of them."""
    parameters = (getattr(preprocessor, name) for name in _NUMBERS)
    return {"model_free": False, "sliders": [_slider(each) for each in parameters if each]}


def _slider(parameter: PreprocessorParameter) -> dict[str, Any]:
    numbers = {
        "value": parameter.default_value,
        "min": parameter.minimum,
        "max": parameter.maximum,
        "step": parameter.step,
    }
    if all(float(number).is_integer() for number in numbers.values()):  # clients send back what they were told
        numbers = {name: int(number) for name, number in numbers.items()}
    return {"name": parameter.label, **numbers}
