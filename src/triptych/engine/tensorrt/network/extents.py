"""How large a component's largest tensor gets, which bounds the batches and sizes that an engine can be built for.

From 2^31 elements on TensorRT rejects a tensor or, by version, gets it wrong; attention's scores grow with the fourth
power of a picture's side. Fused attention never writes them down, but the builder checks their shape all the same.
"""

from __future__ import annotations

from triptych.checkpoint import Component
from triptych.contract import CONTROLNET_HINT, T2I_ADAPTER

MOST_ELEMENTS = 2**31 - 1
# Latents whose extent is no multiple of this are rare: pictures are cut to multiples of 64 pixels.
_STEP = 8
# Of a picture that a T2I-Adapter looks at, each way.
PIXELS_A_LATENT = 8


def most_samples(component: Component, height: int, width: int) -> int:
    """How many samples of that latent size may share a batch; 0 where even one is too large."""
    return MOST_ELEMENTS // _largest_tensor(component, height, width)


def largest_extent(component: Component, samples: int, wanted: int, least: int) -> int:
    """The largest extent up to the wanted one at which squares of so many samples fit, or `least`."""
    extent = wanted
    while extent > least and most_samples(component, extent, extent) < samples:
        extent = max(least, (extent - 1) // _STEP * _STEP)
    return extent


def _largest_tensor(component: Component, height: int, width: int) -> int:
    """Elements of one sample's largest tensor."""
    config = component.architecture.config
    if component.architecture.model == T2I_ADAPTER:
        return int(max(*config["channels"], config["in_channels"] * PIXELS_A_LATENT**2) * height * width)
    channels = config["block_out_channels"]
    if component.architecture.model == CONTROLNET_HINT:  # whose first layers are as large as the picture
        return int(max(channels[0] * 4 ** (len(channels) - 1), *channels) * height * width)
    if component.architecture.model == "vae_decoder":
        scale = 2 ** (len(channels) - 1)
        # The last block takes its pictures as wide as the block before made them.
        picture = channels[min(1, len(channels) - 1)] * height * width * scale * scale
        return int(max(picture, (height * width) ** 2))
    if component.architecture.model == "vae_encoder":
        scale = 2 ** (len(channels) - 1)
        features = (wide * height * width * (scale >> level) ** 2 for level, wide in enumerate(channels))
        return int(max(*features, (height * width) ** 2))
    scores = [1]
    for level in _attention_levels(component):
        tokens = -(-height // 2**level) * -(-width // 2**level)
        scores.append(_heads(component, level) * tokens * tokens)
    return int(max(*scores, max(channels) * height * width))


def _attention_levels(component: Component) -> set[int]:
    """Which halvings of the latents have attention; the middle block is at the last."""
    config = component.architecture.config
    last = len(config["block_out_channels"]) - 1
    down = config["down_block_types"]
    blocks = zip(down, reversed(config.get("up_block_types", down[::-1])), strict=True)  # a ControlNet only goes down
    return {last} | {level for level, kinds in enumerate(blocks) if any("Attn" in kind for kind in kinds)}


def _heads(component: Component, level: int) -> int:
    """The count that diffusers takes from `attention_head_dim`, whose name is a mistake that it keeps."""
    config = component.architecture.config
    heads = config.get("num_attention_heads") or config["attention_head_dim"]
    return int(heads if isinstance(heads, int) else heads[level])
