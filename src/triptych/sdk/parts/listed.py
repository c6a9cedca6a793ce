"""Fields of a request that are lists of messages, each given as an object or as a mapping of its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from triptych.errors import InvalidArgumentError, invalid

T = TypeVar("T")


def set_listed(request: Any, field: str, kind: type[T], choices: Any, fill: Callable[[Any, T], None]) -> None:
    """Fills a message for each; InvalidArgumentError about `field`, or about a field of one by its place there."""
    if isinstance(choices, str | Mapping | kind) or not isinstance(choices, Sequence):
        raise invalid(field, f"must be a list of {kind.__name__}, or of mappings of its fields, not {choices!r}")
    for index, choice in enumerate(choices):
        try:
            fill(getattr(request, field).add(), _made(kind, choice))
        except InvalidArgumentError as error:
            name, inner = f"{field}[{index}]", error.metadata.get("field", "")
            raise InvalidArgumentError(f"{name}.{error.message}", field=f"{name}.{inner}") from error


def _made(kind: type[T], choice: Any) -> T:
    try:
        return choice if isinstance(choice, kind) else kind(**choice)
    except TypeError as error:
        raise invalid("name", f"and the others of {', '.join(kind.__annotations__)}, not {choice!r}") from error
