"""Gives messages' fields what callers gave, which protobuf may not be able to hold.

set_field(request, "name", name)
"""

from __future__ import annotations

import operator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from triptych.errors import invalid

EXPECTED = {
    FieldDescriptor.TYPE_STRING: "a string",
    FieldDescriptor.TYPE_BOOL: "true or false",
    FieldDescriptor.TYPE_INT32: "an integer from -2147483648 to 2147483647",
    FieldDescriptor.TYPE_UINT32: "an integer from 0 to 4294967295",
    FieldDescriptor.TYPE_UINT64: "an integer from 0 to 18446744073709551615",
    FieldDescriptor.TYPE_FLOAT: "a number",
    FieldDescriptor.TYPE_DOUBLE: "a number",
}


def set_field(request: Any, field: str, value: Any) -> None:
    """InvalidArgumentError about the field where the value does not fit.

    A message of numbers, a size say, is given as so many numbers.
    """
    kind = request.DESCRIPTOR.fields_by_name[field].message_type
    if kind is not None:
        _set_numbers(getattr(request, field), field, [part.name for part in kind.fields], value)
        return
    try:
        setattr(request, field, value)
    except (TypeError, ValueError) as error:
        expected = EXPECTED[request.DESCRIPTOR.fields_by_name[field].type]
        raise invalid(field, f"must be {expected}, not {value!r}") from error


def _set_numbers(message: Any, field: str, names: list[str], value: Any) -> None:
    try:
        numbers = dict(zip(names, map(operator.index, value), strict=True))
        message.SetInParent()
        for name, number in numbers.items():
            setattr(message, name, number)
    except (TypeError, ValueError) as error:
        problem = f"must be ({', '.join(names)}), {EXPECTED[FieldDescriptor.TYPE_UINT32]} each, not {value!r}"
        raise invalid(field, problem) from error


def filled(request: Any, **fields: Any) -> Any:
    """The request with these fields; InvalidArgumentError about the first whose value does not fit."""
    for field, value in fields.items():
        set_field(request, field, value)
    return request
