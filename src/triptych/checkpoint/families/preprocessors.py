"""Networks that prepare pictures for ControlNets, which draw nothing: ONNX files, under their preprocessors' names."""

from __future__ import annotations

from collections.abc import Mapping

from triptych.checkpoint.architecture import Architecture
from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.configs import broken
from triptych.checkpoint.families.base import Family
from triptych.checkpoint.sources.network_file import CLASS, PART
from triptych.contract import PREPROCESSOR

# By the networks' names, which are mostly their preprocessors', the channels of what they look at; what a picture is
# before and after, the orchestrator knows.
CHANNELS: Mapping[str, int] = {
    "depth_midas": 3,
    "depth_anything": 3,
    "depth_anything_v2": 3,
    "depth_zoe": 3,
    "depth_leres": 3,
    "normal_bae": 3,
    "openpose": 3,
    "openpose_hand": 3,
    "openpose_face": 3,
    "dw_openpose_full": 3,
    "yolox": 3,
    "seg_ofade20k": 3,
    "seg_ofcoco": 3,
    "seg_ufade20k": 3,
    "softedge_hed": 3,
    "softedge_pidinet": 3,
    "softedge_teed": 3,
    "lineart_realistic": 3,
    "lineart_coarse": 3,
    "lineart_anime": 3,
    "lineart_anime_denoise": 1,
    "mlsd": 4,
}

_MOST_EXTENT = 4096
_MOST_OUTPUTS = 16


def _check(components: Mapping[str, Component]) -> None:
    part = components[PREPROCESSOR.name]
    config = part.architecture.config
    for key, most in (("height", _MOST_EXTENT), ("width", _MOST_EXTENT), ("outputs", _MOST_OUTPUTS)):
        if config[key] > most:
            raise broken(part.file, f"{key} is {config[key]}, more than the {most} that are allowed")


def misnamed(name: str, architecture: Architecture) -> str:
    """Why a network cannot be a preprocessor of that name; "" where it can."""
    if name not in CHANNELS:
        names = ", ".join(CHANNELS)
        return f"{name!r} is no preprocessor that is a network, under whose name its file is registered: {names}"
    if (channels := architecture.config["channels"]) != CHANNELS[name]:
        return f"{name} looks at pictures of {CHANNELS[name]} channels, and this file at {channels}"
    return ""


NETWORK = Family(
    name="preprocessor",
    title="a preprocessor's network",
    pipelines=(CLASS,),
    parts={PREPROCESSOR.name: Part(PART, CLASS)},
    texts=(),
    fields=frozenset(),
    check=_check,
)
