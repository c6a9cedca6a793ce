"""A1111's prompt syntax, which is taken literally here: what of it stands in a prompt, to be told to the caller.

literal_syntax("prompt", "a (red:1.3) fox")  # ["the prompt's '(red:1.3)' is taken literally: ..."]
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHOWN_CHARACTERS = 60
_SIGN = re.compile(r"\\.|[()\[\]:|]|\b(?:BREAK|AND)\b", re.DOTALL)
_CLOSING = {"(": ")", "[": "]"}
_WEIGHTS, _SCHEDULES = "weights", "schedules and alternatives"
_WORDS = {"BREAK": "chunks", "AND": "several prompts"}


@dataclass
class _Opened:
    start: int
    closing: str
    kind: str = _WEIGHTS


def literal_syntax(field: str, prompt: str) -> list[str]:
    """One warning for each kind of syntax in the prompt of a request's `field`, with the first of its kind."""
    name = field.replace("_", " ")
    return [
        f"the {name}'s {prompt[start:end][:_SHOWN_CHARACTERS]!r} is taken literally: "
        f"A1111's syntax for {kind} is not supported"
        for kind, (start, end) in _first_spans(prompt).items()
    ]


def _first_spans(prompt: str) -> dict[str, tuple[int, int]]:
    """By kind, where the first of it stands; of brackets within brackets the outermost.

    An escaped bracket and one that is never closed are none. Bare parentheses are plain English too, but A1111 weighs
    what they hold.
    """
    found: dict[str, tuple[int, int]] = {}
    opened: list[_Opened] = []
    for match in _SIGN.finditer(prompt):
        sign = match[0]
        if sign in _WORDS:
            found.setdefault(_WORDS[sign], match.span())
        elif sign in _CLOSING:
            opened.append(_Opened(match.start(), _CLOSING[sign]))
        elif opened and sign in (":", "|") and opened[-1].closing == "]":
            opened[-1].kind = _SCHEDULES
        elif opened and sign == opened[-1].closing:
            last = opened.pop()
            if last.kind not in found or last.start < found[last.kind][0]:
                found[last.kind] = (last.start, match.end())
    return found
