"""Which of a folder's files hold a model's weights, by their names alone, as diffusers and transformers write them.

chosen = choose_weights(["model.fp16.safetensors", "model.safetensors"], variant="fp16")
chosen.files  # ("model.fp16.safetensors",)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import product

# What may be mapped and served; and what has to be read by other means first.
SAFETENSORS, PICKLED = ".safetensors", ".bin"

_BASES = ("diffusion_pytorch_model", "pytorch_model", "model")
_BASE = rf"(?P<base>{'|'.join(_BASES)})"
_SUFFIX = r"(?P<suffix>\.safetensors|\.bin)"
_VARIANT = r"\.(?P<variant>\w+)"
_SHARD = r"-(?P<number>\d{5})-of-(?P<count>\d{5})"
_WHOLE = re.compile(rf"{_BASE}(?:{_VARIANT})?{_SUFFIX}")
# Today's spelling of a variant is the first, its shards' the first too.
_INDEX = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_BASE}{_SUFFIX}\.index(?:{_VARIANT})?\.json",
        rf"{_BASE}{_SUFFIX}{_VARIANT}\.index\.json",
        rf"{_BASE}{_VARIANT}{_SUFFIX}\.index\.json",
    )
)
_SHARDS = tuple(
    re.compile(pattern)
    for pattern in (rf"{_BASE}(?:{_VARIANT})?{_SHARD}{_SUFFIX}", rf"{_BASE}{_SHARD}{_VARIANT}{_SUFFIX}")
)
# Of several variants and no plain file; elsewhere none is guessed.
_PREFERRED = "fp16"


@dataclass(frozen=True)
class WeightFiles:
    """One model's weights: a whole file, shards without an index, or, where `files` is empty, what the index names."""

    variant: str
    suffix: str
    files: tuple[str, ...]
    index: str = ""

    @property
    def name(self) -> str:
        """The file that stands for all."""
        return self.index or self.files[0]


def choose_weights(names: Iterable[str], variant: str = "") -> WeightFiles | None:
    """What is served of the files with these names; None where there is nothing, or no telling what.

    The variant that is asked for, or else the files without one, or else the fp16 or the only variant. Safetensors of
    any variant come before pickled files; a whole file comes before shards.
    """
    found = find_weights(names)
    by_suffix = [found.get(suffix, {}) for suffix in (SAFETENSORS, PICKLED)]
    if variant and (of_variant := [each[variant] for each in by_suffix if variant in each]):
        return of_variant[0]
    for of_suffix in by_suffix:
        for each in ("", _PREFERRED, *(of_suffix if len(of_suffix) == 1 else ())):
            if each in of_suffix:
                return of_suffix[each]
        if of_suffix:
            return None
    return None


def preferred_weights(names: Collection[str], variant: str = "") -> list[str]:
    """The usual names, none of them there, with any of which another choice would be made."""
    chosen = choose_weights(names, variant)
    new = (name for name in _usual_names({"", _PREFERRED, variant}) if name not in names)
    return [name for name in new if choose_weights([*names, name], variant) != chosen]


def _usual_names(variants: Iterable[str]) -> Iterable[str]:
    for base, variant, suffix in product(_BASES, sorted(variants), (SAFETENSORS, PICKLED)):
        dotted = f".{variant}" if variant else ""
        yield from (f"{base}{dotted}{suffix}", f"{base}{suffix}.index{dotted}.json")


def find_weights(names: Iterable[str]) -> Mapping[str, Mapping[str, WeightFiles]]:
    """All that could be served, by suffix and then by variant, "" for none."""
    ordered = sorted(names, reverse=True)  # diffusers' own base of a name last
    found: dict[str, dict[str, WeightFiles]] = {}
    for weights in (*_complete_shards(ordered), *_indexed(ordered), *_whole(ordered)):  # the later one takes the place
        found.setdefault(weights.suffix, {})[weights.variant] = weights
    return found


def same_shards(names: Iterable[str], weights: WeightFiles) -> list[str]:
    """The files, by their names, that an index of such weights may speak of; none of a whole file."""
    if not weights.index:
        return []
    matches = (match for pattern in _SHARDS for match in map(pattern.fullmatch, sorted(names)) if match)
    return [
        match[0] for match in matches if (match["variant"] or "", match["suffix"]) == (weights.variant, weights.suffix)
    ]


def _whole(names: list[str]) -> Iterable[WeightFiles]:
    for name in names:
        if match := _WHOLE.fullmatch(name):
            yield WeightFiles(match["variant"] or "", match["suffix"], (name,))


def _indexed(names: list[str]) -> Iterable[WeightFiles]:
    for pattern in reversed(_INDEX):
        for match in filter(None, map(pattern.fullmatch, names)):
            yield WeightFiles(match["variant"] or "", match["suffix"], (), match[0])


def _complete_shards(names: list[str]) -> Iterable[WeightFiles]:
    for pattern in reversed(_SHARDS):
        sets: dict[tuple[str, ...], list[str]] = {}
        for match in filter(None, map(pattern.fullmatch, names)):
            key = (match["base"], match["variant"] or "", match["suffix"], match["count"])
            sets.setdefault(key, []).append(match[0])
        for (_, variant, suffix, count), files in sets.items():
            if len(files) == int(count):
                yield WeightFiles(variant, suffix, tuple(sorted(files)))
