"""A picture made again of what it says of itself: what to ask for, and what is otherwise then.

prompt, parameters = asked_again(told, files)
agreement = agreement_of(content, told, client.generate(prompt, **parameters).files)
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triptych.errors import invalid
from triptych.sdk.reading.comparing import Difference, difference, unlike
from triptych.sdk.reading.picture_request import PictureRequest
from triptych.sdk.reading.settling import read_request


@dataclass(frozen=True)
class Agreement:
    """How far a picture is the one that is made now."""

    is_same_file: bool
    difference: Difference
    """Between their pixels."""
    explanations: list[str]
    """Which of the digests, engines or versions are others by now, and what else is not as the picture says."""


def asked_again(told: PictureRequest, files: Mapping[str, bytes]) -> tuple[str, Any]:
    """The prompt and `generate`'s parameters; `files` are those that it may have been made from, by their SHA-256.

    Raises:
        InvalidArgumentError: Triptych did not make it, or a file that it was made from is missing.
    """
    if told.origin != "triptych":
        raise invalid("picture", "was not made by Triptych, or its request was taken out of it")
    for parameter, digests in told.files.items():
        if missing := [digest for digest in digests if digest not in files]:
            raise invalid(
                parameter,
                f"bring the file of SHA-256 {missing[0][:12]}... as well (--file, or files): no picture holds it",
            )
    brought = {parameter: [files[digest] for digest in digests] for parameter, digests in told.files.items()}
    for parameter, members in told.nested_files.items():
        if parameter in brought:
            own = [{name: _brought(one, files) for name, one in each.items()} for each in members]
            brought[parameter] = list(map(operator.or_, told.parameters[parameter], own))
    parameters = {name: value for name, value in told.parameters.items() if name != "prompt"}
    return str(told.parameters["prompt"]), parameters | brought


def _brought(digests: str | list[str], files: Mapping[str, bytes]) -> bytes | list[bytes]:
    return [files[each] for each in digests] if isinstance(digests, list) else files[digests]


def agreement_of(content: bytes, told: PictureRequest, made_again: Sequence[bytes]) -> Agreement:
    """InvalidArgumentError where the picture is damaged; decodes both, which takes a moment."""
    if told.index >= len(made_again):
        raise invalid("picture", "is damaged: its request makes fewer pictures than it counts")
    made = made_again[told.index]
    if made == content:
        return Agreement(True, Difference(0, 0, 0), [])
    said = [line for line in told.left_out if line.partition(":")[0] not in told.files]
    then, now = _renamed(read_request(content), told), read_request(made).made_of
    return Agreement(False, difference(made, content), [*said, *unlike(then, now)])


def _renamed(raw: PictureRequest, told: PictureRequest) -> dict[str, Any]:
    """What it was made of, checkpoints by the names that they have here."""
    fields = ("checkpoint", "refiner", "vae")
    names = {raw.parameters.get(field): str(told.parameters.get(field)) for field in fields}
    made_of = dict(raw.made_of)
    for part, split in (("checkpoints", ""), ("models", ".")):
        if isinstance(known := made_of.get(part), dict):
            made_of[part] = {_name(name, names, split): value for name, value in known.items()}
    return made_of


def _name(name: str, names: Mapping[Any, str], split: str) -> str:
    """A checkpoint's, or a model's, whose own follows behind the last point."""
    checkpoint, point, model = name.rpartition(split) if split else (name, "", "")
    return f"{names.get(checkpoint, checkpoint)}{point}{model}"
