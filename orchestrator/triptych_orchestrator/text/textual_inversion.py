"""Textual inversions of several vectors, as diffusers saves them: one added token for each vector.

The first is what a prompt says, `<cat>`; the others are `<cat>_1`, `<cat>_2` and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from triptych.errors import invalid

# No text encoder takes as many words; it bounds what tokens that contain each other can grow to.
_MOST_CHARACTERS = 1_000_000


def vectors(added_tokens: Set[str]) -> dict[str, str]:
    """Each token that has further vectors, with what stands for all of them in a prompt."""
    written = {}
    for token in added_tokens:
        parts = [token]
        while (following := f"{token}_{len(parts)}") in added_tokens:
            parts.append(following)
        if len(parts) > 1:
            written[token] = " ".join(parts)
    return written


def expand(prompt: str, tokens: Iterable[str], written: Mapping[str, str]) -> str:
    """The prompt with all vectors of those tokens that it was split into.

    diffusers takes tokens that contain each other in any order; here they come in the prompt's.
    """
    for token in dict.fromkeys(tokens):
        if token not in written:
            continue
        if len(prompt) + prompt.count(token) * len(written[token]) > _MOST_CHARACTERS:
            problem = f"with its textual inversions written out it is longer than {_MOST_CHARACTERS} characters"
            raise invalid("prompt", problem)
        prompt = prompt.replace(token, written[token])
    return prompt
