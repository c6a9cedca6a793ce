"""What diffusers and transformers correct in a checkpoint's configurations before they make models of them.

Each correction is one function; docs/parity.md lists them all, those made elsewhere and those not made as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triptych.checkpoint.configs import broken, whole_number

# Of latents; larger pictures than the checkpoint's own may be asked for all the same.
_MOST_SAMPLE_SIZE = 512
# Before 0.9 the files of Stable Diffusion named a size that it was not trained at.
_TRAINED_SAMPLE_SIZE = 64
_TRUSTED_VERSION = (0, 9)
_VERSION = re.compile(r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\D.*)?")


def text_config(path: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A text encoder's own part of a configuration, from file `path`, that may be a whole CLIP model's."""
    if "text_config" not in config:
        return config
    nested = config["text_config"]
    if not isinstance(nested, dict):
        raise broken(path, "text_config must be an object")
    return nested


def vision_config(path: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What shapes a safety checker, of a configuration, from file `path`, that is a whole CLIP model's.

    Where the vision model's part is there twice, as older versions wrote it, the one of the older name counts.
    """
    own: dict[str, Any] = {}
    for key in ("vision_config", "vision_config_dict"):
        nested = config.get(key)
        if nested is not None and not isinstance(nested, dict):
            raise broken(path, f"{key} must be an object")
        own |= nested or {}
    return {**own, "projection_dim": config.get("projection_dim")}


def scheduler_config(config: Mapping[str, Any], index: Mapping[str, Any]) -> dict[str, Any]:
    """The scheduler's configuration, its class being the one that the pipeline's `model_index.json` names."""
    entry = index.get("scheduler")
    named = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
    return {**config, "_class_name": named} if isinstance(named, str) else dict(config)


def sample_size(path: Path, config: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width in latents of a UNet's own pictures; zeros where its configuration, from `path`, names none."""
    size = config.get("sample_size")
    if size is None:
        return 0, 0
    extents = size if isinstance(size, list) and len(size) == 2 else [size, size]
    height, width = (
        whole_number(path, {"sample_size": each}, "sample_size", high=_MOST_SAMPLE_SIZE) for each in extents
    )
    return height, width


def trained_sample_size(path: Path, config: Mapping[str, Any]) -> tuple[int, int]:
    """`sample_size`, but for that of old files of Stable Diffusion, which were trained at another."""
    height, width = sample_size(path, config)
    is_small = config.get("sample_size") == height < _TRAINED_SAMPLE_SIZE
    if is_small and _is_before(config.get("_diffusers_version"), _TRUSTED_VERSION):
        return _TRAINED_SAMPLE_SIZE, _TRAINED_SAMPLE_SIZE
    return height, width


def _is_before(version: object, bound: tuple[int, int]) -> bool:
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    return match is not None and (int(match[1]), int(match[2] or 0)) < bound
