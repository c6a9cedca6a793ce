"""Union ControlNets, of which each looks at pictures of several types, and is told which type a picture is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from triptych.checkpoint.architecture import Architecture
from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.configs import broken, whole_number
from triptych.checkpoint.families.base import Family
from triptych.checkpoint.families.controlnet import check_hint, check_net
from triptych.contract import CONTROLNET, CONTROLNET_HINT

_CLASS = "ControlNetUnionModel"
# No configuration names the types. Those of the unions that there are, six or all eight, by xinsir's own list
# (huggingface.co/xinsir/controlnet-union-sdxl-1.0); beside each what else pictures of it are called.
_TYPES: Mapping[str, Sequence[str]] = {
    "openpose": ("pose", "dwpose"),
    "depth": (),
    "softedge": ("hed", "pidi", "pidinet", "scribble", "ted", "teed"),
    "canny": ("hardedge", "lineart", "animelineart", "mlsd"),
    "normal": ("normalmap", "normalbae"),
    "segment": ("segmentation", "seg"),
    "tile": (),
    "repaint": ("inpaint", "outpaint"),
}


def union_types(architecture: Architecture) -> tuple[str, ...]:
    """Of a ControlNet the types that it knows, numbers for those without names; none of one that is no union."""
    if architecture.class_name != _CLASS:
        return ()
    count = int(architecture.config["num_control_type"])
    return (*_TYPES, *map(str, range(len(_TYPES), count)))[:count]


def type_number(given: str, types: Sequence[str]) -> int | None:
    """Which of a union's types is meant, by its name, another name of it or its number; None where none is."""
    plain = "".join(filter(str.isalnum, given.lower()))
    names = [{name, str(number), *_TYPES.get(name, ())} for number, name in enumerate(types)]
    return next((number for number, known in enumerate(names) if plain in known), None)


def _check(components: Mapping[str, Component]) -> None:
    net, hint = components[CONTROLNET], components[CONTROLNET_HINT]
    check_net(net)
    path, config = net.file, hint.architecture.config
    if net.config.get("addition_embed_type") != "text_time":
        raise broken(path, "addition_embed_type must be 'text_time': a union ControlNet is one for Stable Diffusion XL")
    if config["controlnet_conditioning_channel_order"] != "rgb":
        raise broken(path, "controlnet_conditioning_channel_order must be 'rgb'")
    check_hint(hint, "controlnet_cond_embedding.")
    count = whole_number(path, config, "num_control_type", high=256)
    width = config["conditioning_embedding_channels"]
    for key in ("num_trans_channel", "num_proj_channel"):
        if config[key] != width:
            raise broken(path, f"{key} must be {width}, as the first of block_out_channels is, not {config[key]}")
    if width % whole_number(path, config, "num_trans_head", high=256):
        raise broken(path, f"num_trans_head must divide num_trans_channel {width}, not be {config['num_trans_head']}")
    hint.expect_shape("task_embedding", (count, width), "num_control_type", "num_trans_channel")


CONTROL_NET_UNION = Family(
    name="controlnet-union",
    title="a union ControlNet",
    pipelines=(_CLASS,),
    parts={
        CONTROLNET: Part(CONTROLNET, _CLASS),
        CONTROLNET_HINT: Part(CONTROLNET_HINT, "ControlNetUnionHint"),
    },
    texts=(),
    fields=frozenset(),
    check=_check,
)
