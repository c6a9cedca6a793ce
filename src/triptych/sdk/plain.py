"""Protobuf message to frozen dataclass, field by field of the same name.

limits = plain(Limits, message.limits)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

Kind = TypeVar("Kind")


def plain(kind: type[Kind], message: Any, **decoded: Any) -> Kind:
    """An instance of the dataclass `kind`; repeated fields become lists, `decoded` replaces what needs more.

    Fields that only the message has are passed over, so that the protos may grow first.
    """
    names = [field.name for field in fields(kind) if field.name not in decoded]  # type: ignore[arg-type]
    return kind(**{name: _value(getattr(message, name)) for name in names}, **decoded)


def _value(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else value
