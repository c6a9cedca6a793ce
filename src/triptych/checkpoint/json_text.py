"""Reads JSON from strangers as values that the rest of the code can walk, compare and send on."""

from __future__ import annotations

import json
import re
from typing import Any

# Configurations have 4 levels, tokenizers 6.
_MOST_LEVELS = 32
_WHOLES = (dict, list)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(content: bytes) -> Any:
    """The value; ValueError for what is no JSON, is nested absurdly deep, or has text that is not Unicode."""
    text = content.decode(json.detect_encoding(content))
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested deeper than {_MOST_LEVELS} levels") from error
    _check_depth(value)
    if _SURROGATE_ESCAPE.search(text):
        _check_text(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, _WHOLES) else []
    for _ in range(_MOST_LEVELS):
        if not level:
            return
        inner = (whole.values() if isinstance(whole, dict) else whole for whole in level)
        level = [part for parts in inner for part in parts if isinstance(part, _WHOLES)]
    if level:
        raise ValueError(f"nested deeper than {_MOST_LEVELS} levels")


def _check_text(value: Any) -> None:
    """Half of a surrogate pair can be written as an escape, and then neither be printed nor sent."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("text in it is not Unicode: half of a surrogate pair") from error
