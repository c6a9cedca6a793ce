"""Upscalers, which draw nothing: ESRGAN's network, and the compact one of Real-ESRGAN."""

from __future__ import annotations

from collections.abc import Mapping

from triptych.checkpoint.architecture import Architecture
from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.configs import whole_number
from triptych.checkpoint.families.base import Family
from triptych.contract import UPSCALER

_PART = "upscaler"
_LEAST = {"upsamplings": 0}
_MOST = {"unshuffle": 4, "upsamplings": 3, "scale": 8, "num_block": 64, "num_conv": 128}


def _check(components: Mapping[str, Component]) -> None:
    part = components[UPSCALER.name]
    for key in part.architecture.config:
        whole_number(part.file, part.architecture.config, key, low=_LEAST.get(key, 1), high=_MOST.get(key, 1024))


def upscale_factor(architecture: Architecture) -> int:
    """Pixels each way of one pixel."""
    config = architecture.config
    return int(config["scale"] if "scale" in config else max(1, 2 ** config["upsamplings"] // config["unshuffle"]))


def pixels_together(architecture: Architecture) -> int:
    """Pixels each way that it takes for one, so that a picture's extents must be multiples of it."""
    return int(architecture.config.get("unshuffle", 1))


def _family(name: str, title: str, class_name: str) -> Family:
    return Family(
        name=name,
        title=title,
        pipelines=(class_name,),
        parts={UPSCALER.name: Part(_PART, class_name)},
        texts=(),
        fields=frozenset(),
        check=_check,
    )


ESRGAN = _family("esrgan", "an upscaler of ESRGAN's kind", "RRDBNet")
ESRGAN_COMPACT = _family("esrgan-compact", "a compact upscaler of Real-ESRGAN's", "SRVGGNetCompact")
