"""What modules bring no tensor of: PEFT's configuration, in the file's metadata or in a file beside it.

diffusers writes it as JSON into the safetensors metadata, each field with the model's prefix (`unet.lora_alpha`); PEFT
writes `adapter_config.json`. Ranks are read off the tensors, but for LoKr's, which may have none.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from triptych.checkpoint.configs import read_json
from triptych.lora.algorithms import Options
from triptych.lora.failures import refused, shown

_METADATA_KEY = "lora_adapter_metadata"
_CONFIG_NAME = "adapter_config.json"
_PREFIXES = ("unet.", "text_encoder.", "text_encoder_2.")
_PEFT_PREFIX = "base_model.model."
# PEFT's own, where a configuration leaves them out.
_DEFAULT_ALPHA = 8
_DEFAULT_RANK = 8
_ALPHAS = {"LORA": "lora_alpha", "LOHA": "alpha", "LOKR": "alpha"}
_TYPES = (*_ALPHAS, "IA3", "OFT", "BOFT")
# What a rotation's numbers mean, each with its kind.
_ROTATION_OPTIONS = {"coft": bool, "eps": float, "use_cayley_neumann": bool, "num_cayley_neumann_terms": int}
# PEFT's own are 5; each costs what the rotation of the weight does, or more.
_MOST_TERMS = 16
# A pattern is a regular expression to PEFT; from a stranger, only plain names are taken.
_PLAIN_PATTERN = re.compile(r"(\^?(?:[\w-]|\\?\.)+)\$?", re.ASCII)
# These begin by changing the model's own weights, so that the factors mean nothing on the untouched ones.
_CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq")


@dataclass(frozen=True)
class Patterns:
    """A number by module: by the end of its name, or by all of it where "^" stands before; the first that fits."""

    default: float
    others: Mapping[str, float]

    def of(self, name: str) -> float:
        """The number of one module."""
        name = name.replace("text_model.", "")
        found = [end for end in (f"^{name}", *_endings(name)) if end in self.others]
        return self.others[min(found, key=self._places.__getitem__)] if found else self.default

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {end: place for place, end in enumerate(self.others)}


@dataclass(frozen=True)
class AdapterConfig:
    """One model's configuration, as far as its tensors leave it open; `alphas` is None where nothing is scaled."""

    alphas: Patterns | None
    ranks: Patterns
    rank_stabilized: bool
    feedforward: frozenset[str]
    options: Options

    def alpha(self, name: str, rank: int) -> float | None:
        """The alpha for which alpha / rank is the module's scale; PEFT's rsLoRA divides by the root of the rank."""
        if self.alphas is None:
            return None
        alpha = self.alphas.of(name)
        return alpha * math.sqrt(rank) if self.rank_stabilized else alpha

    def module_options(self, name: str) -> Options:
        """What an algorithm may want to know of one module."""
        options = dict(self.options)
        if self.alphas is not None:
            options["whole_scale"] = self.alphas.of(name) / self.ranks.of(name)
        return options | {"is_feedforward": not self.feedforward.isdisjoint(_endings(name))}


def read_adapters(path: Path, file_format: str, metadata: Mapping[str, str]) -> dict[str, AdapterConfig]:
    """Configurations by the models' prefixes in module names, "" for a file of one model; {} if there are none."""
    text = metadata.get(_METADATA_KEY)
    beside = path.with_name(_CONFIG_NAME)
    if text is not None:
        fields = _parsed(path, text)
    elif file_format == "peft" and beside.exists():
        path, fields = beside, read_json(beside)
    else:
        return {}
    prefixes = {next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "") for name in fields}
    return {prefix: _config(path, _below(fields, prefix)) for prefix in prefixes}


def config_for(adapters: Mapping[str, AdapterConfig], key: str) -> tuple[AdapterConfig | None, str]:
    """The configuration of the model that the module `key` is of, if there is one, and the module's name in it."""
    key = key.removeprefix(_PEFT_PREFIX)
    prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), "")
    return adapters.get(prefix), key.removeprefix(prefix)


def _endings(name: str) -> Iterator[str]:
    """A module's name, and what follows each of its dots: to look up, for patterns and modules may be many."""
    yield name
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
        json.dumps(fields, ensure_ascii=False).encode()  # as for the header: no halves of characters
    except (ValueError, RecursionError) as error:
        raise refused(path, f"its metadata {_METADATA_KEY} is not readable as JSON: {error}") from error
    if not isinstance(fields, dict):
        raise refused(path, f"its metadata {_METADATA_KEY} is no JSON object")
    return fields


def _below(fields: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)}


def _config(path: Path, fields: Mapping[str, Any]) -> AdapterConfig:
    kind = fields.get("peft_type", "LORA")
    if kind not in _TYPES:
        raise refused(path, f"an adapter of PEFT's type {_named(kind)}, which is not supported")
    start = _named(fields.get("init_lora_weights", "")).lower()
    if start.startswith(_CHANGES_THE_BASE):
        raise refused(path, f"init_lora_weights {start} changes the model's own weights; convert it to plain LoRA")
    if fields.get("trainable_token_indices"):
        raise refused(path, "trainable_token_indices: rows of a token table, which are not applied")
    alphas = None
    if kind in _ALPHAS:
        alphas = _patterns(path, fields, _ALPHAS[kind], "alpha_pattern", _DEFAULT_ALPHA)
    ranks = _patterns(path, fields, "r", "rank_pattern", _DEFAULT_RANK) if kind == "LOKR" else Patterns(1, {})
    if not all(rank > 0 for rank in (ranks.default, *ranks.others.values())):
        raise refused(path, "r and rank_pattern must be greater than 0")
    options = {"use_dora": bool(fields.get("use_dora"))}
    options |= {name: _option(path, name, fields[name]) for name in _ROTATION_OPTIONS if name in fields}
    return AdapterConfig(alphas, ranks, bool(fields.get("use_rslora")), _feedforward(path, fields), options)


def _patterns(path: Path, fields: Mapping[str, Any], field: str, pattern_field: str, default: float) -> Patterns:
    patterns = fields.get(pattern_field) or {}
    if not isinstance(patterns, dict):
        raise refused(path, f"{pattern_field} must be an object")
    others = {
        _ending(path, pattern_field, name): _number(path, pattern_field, value) for name, value in patterns.items()
    }
    return Patterns(_number(path, field, fields.get(field, default)), others)


def _feedforward(path: Path, fields: Mapping[str, Any]) -> frozenset[str]:
    names = fields.get("feedforward_modules") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise refused(path, "feedforward_modules: only a list of names of modules can be read, no expression")
    return frozenset(names)


def _option(path: Path, name: str, value: object) -> Any:
    if _ROTATION_OPTIONS[name] is bool:
        return bool(value)
    number = _number(path, name, value)
    if _ROTATION_OPTIONS[name] is int and not 0 < number <= _MOST_TERMS:
        raise refused(path, f"{name} must be from 1 to {_MOST_TERMS}")
    return _ROTATION_OPTIONS[name](number)


def _ending(path: Path, field: str, pattern: str) -> str:
    match = _PLAIN_PATTERN.fullmatch(pattern)
    if match is None:
        raise refused(path, f"{field} {shown(pattern)!r}: only names of modules can be read, no expressions")
    return match[1].replace("\\", "").replace("text_model.", "")


def _number(path: Path, field: str, value: object) -> float:
    if type(value) not in (int, float) or not abs(value) <= 1e9:  # type: ignore[arg-type]
        raise refused(path, f"{field} must be of numbers, not {_named(value)}")
    return float(value)  # type: ignore[arg-type]


def _named(value: object) -> str:
    """A value that should be a short text or number; what contains others, perhaps very deep, by its kind alone."""
    return f"a {type(value).__name__}" if isinstance(value, dict | list) else shown(str(value))
