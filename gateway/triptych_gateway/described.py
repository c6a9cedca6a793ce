"""Models of JSON bodies made of the SDK's own classes, their fields' docstrings being the descriptions.

Checkpoint = described("Checkpoint", sdk.Checkpoint)

So that a field that the SDK gets is in the HTTP API, and on its page, without code of its own.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model


class Body(BaseModel):
    """What a caller sends: a field that is not known is refused by name, and so is a number that is none."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Answer(BaseModel):
    """What a caller gets."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)


def described(
    name: str, of: type, base: type[BaseModel], changed: Mapping[str, Any] | None = None, without: tuple[str, ...] = ()
) -> type[BaseModel]:
    """A model with the fields of a dataclass or a TypedDict; those of `changed` have another type."""
    told = docstrings(of)
    definitions: dict[str, Any] = {}
    for field, kind in (get_type_hints(of) | dict(changed or {})).items():
        if field not in without and not field.startswith("_"):
            default = None if base is not Answer else ...
            definitions[field] = (kind, Field(default, description=told.get(field)))
    return create_model(name, __base__=base, __doc__=inspect.getdoc(of), **definitions)


def docstrings(of: type) -> dict[str, str]:
    """The text below each of a class's fields."""
    (defined,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    assert isinstance(defined, ast.ClassDef)
    found = {}
    for pair in zip(defined.body, defined.body[1:], strict=False):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text))):
                found[field] = inspect.cleandoc(text)
    return found
