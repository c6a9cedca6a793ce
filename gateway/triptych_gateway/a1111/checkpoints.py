"""Checkpoints as the web UI calls them: by titles, with the short hash once it is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from triptych.errors import FailedPreconditionError, NotFoundError
from triptych.sdk.catalog import Checkpoint

_HASH = re.compile(r" \[([0-9a-f]+)\]$")
_ENDING = re.compile(r"\.(safetensors|ckpt)$")
_DRAWING = ("drawing", "instructed", "inpainting")
# Which draws from an image alone.
_REFINER = "stable-diffusion-xl-refiner"


def drawing(checkpoints: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Those that draw."""
    return [each for each in checkpoints if each.purpose in _DRAWING]


def title(checkpoint: Checkpoint) -> str:
    """Of the form "name [0123456789]"; the name alone where the hash is not known yet."""
    return f"{checkpoint.name} [{checkpoint.short_hash}]" if checkpoint.sha256 else checkpoint.name


def find(checkpoints: Sequence[Checkpoint], wanted: str, field: str) -> Checkpoint:
    """By title, name, file name or hash, whatever the letters' case; NotFoundError about the field."""
    if (found := _found(checkpoints, wanted)) is not None:
        return found
    titles = ", ".join(map(title, checkpoints)) or "none"
    raise NotFoundError(f"{field}: {wanted!r} is not a model here; there are {titles}", field=field)


def is_known(checkpoints: Sequence[Checkpoint], wanted: str) -> bool:
    """Whether `find` finds it."""
    return _found(checkpoints, wanted) is not None


def default(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """What a caller draws with who has chosen nothing: the first by name that is not known to be broken."""
    sound = [each for each in checkpoints if each.state != "failed"] or checkpoints
    if not sound:
        raise FailedPreconditionError("there is no model; add one: triptych checkpoints add NAME PATH")
    return min(sound, key=lambda each: (each.purpose != "drawing", each.family == _REFINER, each.name))


def _found(checkpoints: Iterable[Checkpoint], wanted: str) -> Checkpoint | None:
    name = wanted.strip().lower()
    return next((each for each in checkpoints if name in _names(each)), None)


def _names(checkpoint: Checkpoint) -> set[str]:
    """In lower case. A title from before the hash was known means the same, one with another hash does not."""
    file = PurePath(checkpoint.path).name
    bare = {checkpoint.name, file, _ENDING.sub("", file), f"{checkpoint.name}.safetensors"}
    hashes = {checkpoint.short_hash, checkpoint.sha256[:8], checkpoint.sha256} - {""}
    titles = {f"{name} [{checkpoint.short_hash}]" for name in bare if hashes}
    return {name.lower() for name in bare | hashes | titles}
