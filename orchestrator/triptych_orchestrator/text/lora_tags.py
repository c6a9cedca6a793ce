"""`<lora:...>` and `<lyco:...>` tags in a prompt, as A1111 reads them, out of the text and into weights.

take_tags("a fox <lora:ink:0.8>")  # "a fox ", (AskedLora("ink", 0.8, 0.8),)
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from triptych.errors import InvalidArgumentError, invalid

_START = re.compile(r"<(?:lora|lyco):")
_TAG = re.compile(rf"{_START.pattern}([^>]*)>")
_OTHER_TAG = re.compile(r"<[a-z]\w*:[^<>]*>", re.ASCII)
_MAX_WEIGHT = 100.0
_SHOWN_CHARACTERS = 80


class AskedLora(NamedTuple):
    """One LoRA of a request; the weights multiply the file's own scale."""

    name: str
    unet_weight: float
    text_encoder_weight: float

    @property
    def tag(self) -> str:
        """The tag that asks for the same; one weight where both are alike."""
        both = (self.text_encoder_weight, self.unet_weight)
        weights = both[:1] if both[0] == both[1] else both
        return f"<lora:{self.name}:{':'.join(repr(weight).removesuffix('.0') for weight in weights)}>"


def has_tags(text: str) -> bool:
    """Whether there is anything in the text that looks like a tag."""
    return _START.search(text) is not None


def other_tags(text: str) -> tuple[str, ...]:
    """What looks like another kind of tag, `<hypernet:...>` say, each once and cut to a length that can be shown."""
    found = (match[0] for match in _OTHER_TAG.finditer(text) if not has_tags(match[0]))
    return tuple(dict.fromkeys(tag[:_SHOWN_CHARACTERS] for tag in found))


def take_tags(prompt: str) -> tuple[str, tuple[AskedLora, ...]]:
    """The prompt without its tags, nothing else changed, and what they ask for, in order.

    A tag is a name and up to two weights, the text encoder's first; the UNet's is the same unless given. Either may be
    named instead: `te=`, `unet=`. InvalidArgumentError about the prompt if a tag is anything else.
    """
    tags = tuple(_read(match[0], match[1].split(":")) for match in _TAG.finditer(prompt))
    text = _TAG.sub("", prompt)
    if start := _START.search(text):
        raise _malformed(text[start.start() :], "has no closing '>'")
    return text, tags


def check_weight(field: str, name: str, weight: float) -> float:
    """The weight; InvalidArgumentError about the field if it is no number from -100 to 100."""
    if not (math.isfinite(weight) and abs(weight) <= _MAX_WEIGHT):
        limits = f"must be a number from {-_MAX_WEIGHT:g} to {_MAX_WEIGHT:g}"
        raise invalid(field, f"the weight of {name!r} {limits}, not {weight}")
    return weight


def _read(tag: str, items: list[str]) -> AskedLora:
    named = dict(item.split("=", 1) for item in items if "=" in item)
    name, *weights = [item for item in items if "=" not in item] or [""]
    if not name:
        raise _malformed(tag, "names no LoRA")
    if len(weights) > 2 or named.keys() - {"te", "unet"}:
        raise _malformed(tag, "may hold a name and two weights, no more; they can be named te= and unet=")
    first, second = [*weights, None, None][:2]
    text_encoder = _weight(tag, name, named.get("te", first), 1.0)
    return AskedLora(name, _weight(tag, name, named.get("unet", second), text_encoder), text_encoder)


def _weight(tag: str, name: str, text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        weight = float(text)
    except ValueError:
        raise _malformed(tag, f"{text!r} is not a number") from None
    return check_weight("prompt", name, weight)


def _malformed(tag: str, problem: str) -> InvalidArgumentError:
    return invalid("prompt", f"the tag {tag[:_SHOWN_CHARACTERS]!r}: {problem}")
