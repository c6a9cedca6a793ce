"""ControlNets, which draw nothing by themselves: what they make of a picture is added to what a UNet makes."""

from __future__ import annotations

from collections.abc import Mapping

from triptych.checkpoint.architecture import Architecture
from triptych.checkpoint.checks import CONDITION_KEYS
from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.configs import broken, channel_list, whole_number
from triptych.checkpoint.families.base import Family
from triptych.contract import CONTROLNET, CONTROLNET_HINT

# What a ControlNet must have in common with the UNet that it stands beside: diffusers copies them from it.
_COMMON = ("cross_attention_dim", "block_out_channels", "layers_per_block", "addition_embed_type")
# Whose the widths of a text are.
_TITLES = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}


def _check(components: Mapping[str, Component]) -> None:
    check_net(components[CONTROLNET])
    hint = components[CONTROLNET_HINT]
    if hint.architecture.config["controlnet_conditioning_channel_order"] not in ("rgb", "bgr"):
        raise broken(hint.file, "controlnet_conditioning_channel_order must be 'rgb' or 'bgr'")
    check_hint(hint)


def check_net(net: Component) -> None:
    """CheckpointInvalidError where what runs in every step is none that is supported."""
    path, config = net.file, net.architecture.config
    channels = channel_list(path, config)
    for key in (*CONDITION_KEYS, "num_attention_heads"):
        known = "text_time" if key == "addition_embed_type" else None
        if net.config.get(key) not in (None, known):
            raise broken(path, f"{key}={net.config[key]!r} belongs to a ControlNet that is not supported")
    in_channels = whole_number(path, config, "in_channels", high=256)
    net.expect_shape("conv_in.weight", (channels[0], in_channels, 3, 3), "block_out_channels", "in_channels")


def check_hint(hint: Component, stem: str = "") -> None:
    """The same of what looks at the picture; the names of its convolutions begin with the `stem`."""
    path, config = hint.file, hint.architecture.config
    if whole_number(path, config, "conditioning_channels", high=16) != 3:
        raise broken(path, "conditioning_channels must be 3: the picture that a ControlNet looks at is RGB")
    shape = channel_list(path, config)[0], 3, 3, 3
    hint.expect_shape(f"{stem}conv_in.weight", shape, "conditioning_embedding_out_channels")


def misfit(controlnet: Architecture, unet: Architecture) -> str:
    """What keeps a ControlNet from standing beside a UNet; "" where nothing does."""
    ours, theirs = controlnet.config, unet.config
    if (width := ours["cross_attention_dim"]) != theirs["cross_attention_dim"] and width in _TITLES:
        return f"is made for {_TITLES[width]}, by its cross_attention_dim {width}"
    for key in _COMMON:
        if ours.get(key) != theirs.get(key):
            return f"has {key} {ours.get(key)}, and the checkpoint's UNet {theirs.get(key)}"
    if ours["in_channels"] != theirs["out_channels"]:
        return f"takes latents of {ours['in_channels']} channels, and the checkpoint's have {theirs['out_channels']}"
    return ""


def count_residuals(architecture: Architecture) -> int:
    """Of a ControlNet, or of the UNet that it stands beside: one for each skip connection, and the middle's."""
    config = architecture.config
    blocks, layers = len(config["block_out_channels"]), config["layers_per_block"]
    down = sum(layers) if isinstance(layers, list) else blocks * layers
    # The first convolution's, each layer's, each downsampling's but for the last block, which has none.
    return int(1 + down + (blocks - 1) + 1)


CONTROL_NET = Family(
    name="controlnet",
    title="a ControlNet",
    pipelines=("ControlNetModel",),
    parts={
        CONTROLNET: Part(CONTROLNET, "ControlNetModel"),
        CONTROLNET_HINT: Part(CONTROLNET_HINT, "ControlNetConditioningEmbedding"),
    },
    texts=(),
    fields=frozenset(),
    check=_check,
)
