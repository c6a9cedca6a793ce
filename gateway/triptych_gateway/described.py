"""Models of JSON bodies made of the SDK's own classes, their fields' docstrings being the descriptions.

Checkpoint = described("Checkpoint", sdk.Checkpoint)

So that a field that the SDK gets is in the HTTP API, and on its page, without code of its own.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

# Of a docstring "name: meaning", which goes on in lines that are indented.
_LISTED = re.compile(r"^(?P<names>[a-z_]+(?:, [a-z_]+)*): (?P<meaning>.+(?:\n +.+)*)\n?", re.MULTILINE)


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
            default = ... if base is Answer or field in _required(of) else None
            definitions[field] = (kind, Field(default, description=told.get(field)))
    # There is no source to look for docstrings in, and the search through all modules would take a second.
    unsearched = {"use_attribute_docstrings": False}
    return create_model(name, __base__=base, __doc__=_summary(of), __cls_kwargs__=unsearched, **definitions)


def docstrings(of: type) -> dict[str, str]:
    """The text below each of a class's fields, or else what the class's own says of it: a line that its name begins."""
    (defined,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    assert isinstance(defined, ast.ClassDef)
    found = dict(_listed(of))
    for pair in zip(defined.body, defined.body[1:], strict=False):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text))):
                found[field] = inspect.cleandoc(text)
    return found


def _summary(of: type) -> str:
    """A class's docstring, without the lines about its fields."""
    return _LISTED.sub("", inspect.getdoc(of) or "").strip()


def _listed(of: type) -> Iterator[tuple[str, str]]:
    """Fields and their meanings: "width, height: pixels" is about both."""
    for match in _LISTED.finditer(inspect.getdoc(of) or ""):
        meaning = " ".join(match["meaning"].split())
        yield from ((name, meaning[0].upper() + meaning[1:]) for name in match["names"].split(", "))


def _required(of: type) -> set[str]:
    """Those of a dataclass that have no default."""
    if not is_dataclass(of):
        return set()
    return {each.name for each in fields(of) if each.default is MISSING and each.default_factory is MISSING}
