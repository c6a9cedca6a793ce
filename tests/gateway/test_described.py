from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from triptych_gateway.described import Answer, Body, described, docstrings


@dataclass(frozen=True)
class Box:
    """A box: what is packed; None: nothing.

    name: what is written on it.
    width, height: centimetres, which
        are whole.
    """

    name: str
    width: int | None = None
    height: int | None = None
    lid: bool = False
    """Whether it has one."""


def test_what_a_class_says_of_its_fields_in_either_way_is_told() -> None:
    assert docstrings(Box) == {
        "name": "What is written on it.",
        "width": "Centimetres, which are whole.",
        "height": "Centimetres, which are whole.",
        "lid": "Whether it has one.",
    }


def test_a_body_needs_what_has_no_default_and_an_answer_has_all() -> None:
    body = described("BoxBody", Box, Body, without=("lid",))
    assert body.model_json_schema()["required"] == ["name"]
    assert body.__doc__ == "A box: what is packed; None: nothing."
    with pytest.raises(ValidationError, match="name"):
        body()
    assert set(described("BoxAnswer", Box, Answer).model_json_schema()["required"]) == {
        "name",
        "width",
        "height",
        "lid",
    }
