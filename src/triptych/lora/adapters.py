"""The alpha of modules that bring no tensor of it: PEFT's LoraConfig, in the file's metadata or in a file beside it.

diffusers writes it as JSON into the safetensors metadata, each field with the model's prefix (`unet.lora_alpha`); PEFT
writes `adapter_config.json`. Ranks are read off the tensors, so `r` and `rank_pattern` are not looked at.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.checkpoint.configs import read_json
from triptych.checkpoint.safetensors import read_metadata
from triptych.lora.failures import refused, shown

_METADATA_KEY = "lora_adapter_metadata"
_CONFIG_NAME = "adapter_config.json"
_PREFIXES = ("unet.", "text_encoder.", "text_encoder_2.")
_PEFT_PREFIX = "base_model.model."
# PEFT's own, where a LoraConfig leaves it out.
_DEFAULT_ALPHA = 8
# A pattern is a regular expression to PEFT; from a stranger, only plain names are taken.
_PLAIN_PATTERN = re.compile(r"(\^?(?:[\w-]|\\?\.)+)\$?", re.ASCII)
# These begin by changing the model's own weights, so that the factors mean nothing on the untouched ones.
_CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq")


@dataclass(frozen=True)
class AdapterConfig:
    """One model's LoraConfig, as far as it scales.

    patterns: alphas by the end of a module's name, or by all of it where "^" stands before.
    """

    default: float
    patterns: Mapping[str, float]
    rank_stabilized: bool

    def alpha(self, name: str, rank: int) -> float:
        """The alpha for which alpha / rank is the module's scale; PEFT's rsLoRA divides by the root of the rank."""
        whole = f"^{name.replace('text_model.', '')}"
        found = (
            alpha for end, alpha in self.patterns.items() if whole.endswith(f".{end}") or end in (whole, whole[1:])
        )
        alpha = next(found, self.default)
        return alpha * math.sqrt(rank) if self.rank_stabilized else alpha


def read_adapters(path: Path, file_format: str) -> dict[str, AdapterConfig]:
    """LoraConfigs by the models' prefixes in module names, "" for a file of one model; {} if there are none."""
    text = read_metadata(path).get(_METADATA_KEY)
    beside = path.with_name(_CONFIG_NAME)
    if text is not None:
        fields = _parsed(path, text)
    elif file_format == "peft" and beside.exists():
        path, fields = beside, read_json(beside)
    else:
        return {}
    prefixes = {next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "") for name in fields}
    return {prefix: _config(path, _below(fields, prefix)) for prefix in prefixes}


def alpha_for(adapters: Mapping[str, AdapterConfig], key: str, rank: int) -> float | None:
    """The alpha of the module `key`, or None if no configuration speaks of its model."""
    key = key.removeprefix(_PEFT_PREFIX)
    prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), "")
    config = adapters.get(prefix)
    return None if config is None else config.alpha(key.removeprefix(prefix), rank)


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
    if fields.get("peft_type", "LORA") != "LORA":
        raise refused(path, f"not a LoRA but {_named(fields['peft_type'])}, which is not supported")
    if fields.get("use_dora"):
        raise refused(path, "a DoRA (use_dora), which is not supported; extract a plain LoRA from it")
    start = _named(fields.get("init_lora_weights", "")).lower()
    if start.startswith(_CHANGES_THE_BASE):
        raise refused(path, f"init_lora_weights {start} changes the model's own weights; convert it to plain LoRA")
    patterns = fields.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise refused(path, "alpha_pattern must be an object")
    alphas = {_ending(path, name): _alpha(path, value) for name, value in patterns.items()}
    default = _alpha(path, fields.get("lora_alpha", _DEFAULT_ALPHA))
    return AdapterConfig(default, alphas, bool(fields.get("use_rslora")))


def _ending(path: Path, pattern: str) -> str:
    match = _PLAIN_PATTERN.fullmatch(pattern)
    if match is None:
        raise refused(path, f"alpha_pattern {shown(pattern)!r}: only names of modules can be read, no expressions")
    return match[1].replace("\\", "").replace("text_model.", "")


def _alpha(path: Path, value: object) -> float:
    if type(value) not in (int, float) or not abs(value) <= 1e9:  # type: ignore[arg-type]
        raise refused(path, f"lora_alpha and alpha_pattern must be numbers, not {_named(value)}")
    return float(value)  # type: ignore[arg-type]


def _named(value: object) -> str:
    """A value that should be a short text or number; what contains others, perhaps very deep, by its kind alone."""
    return f"a {type(value).__name__}" if isinstance(value, dict | list) else shown(str(value))
