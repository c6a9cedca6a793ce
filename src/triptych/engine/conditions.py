"""What a UNet is given besides latents and timestep, by its architecture; needs no torch.

Conditions, and from ControlNets one residual for each skip connection, in the way down's order, and the middle's: Zhang
et al., "Adding Conditional Control to Text-to-Image Diffusion Models" (arXiv:2302.05543), figure 3. From T2I-Adapters
one feature for each block of the way down, and one for the middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from triptych.checkpoint import Architecture, Component
from triptych.checkpoint.families.controlnet import count_residuals
from triptych.checkpoint.families.ip_adapter import cross_attentions
from triptych.checkpoint.families.t2i_adapter import Feature, crosses, places
from triptych.contract import IMAGE_PROMPT
from triptych.engine.kept import Kept
from triptych.engine.port import Array

_STEM, _FEATURE_STEM = "residual_", "feature_"


def conditioning_dims(architecture: Architecture) -> Mapping[str, tuple[int | str, ...]]:
    """The tensors by name, with their dimensions without the batch; "tokens" is free.

    A UNet's configuration names the width of pooled vector and time ids together.
    """
    config, count = architecture.config, architecture.time_ids
    dims: dict[str, tuple[int | str, ...]] = {"encoder_hidden_states": ("tokens", config["cross_attention_dim"])}
    if config.get("addition_embed_type") == "text_time":
        pooled = config["projection_class_embeddings_input_dim"] - count * config["addition_time_embed_dim"]
        dims |= {"text_embeds": (pooled,), "time_ids": (count,)}
    return dims


def residual_names(architecture: Architecture) -> list[str]:
    """Of a ControlNet's outputs, and of the UNet's inputs that take them: "residual_0", ..., the middle's last."""
    return [f"{_STEM}{number}" for number in range(count_residuals(architecture))]


def feature_name(place: int) -> str:
    """Of an adapter's output, and of the UNet's input that takes it."""
    return f"{_FEATURE_STEM}{place}"


def feature_places(architecture: Architecture) -> dict[str, int | None]:
    """By the names of the UNet's inputs that take features, the skip connection to which each is added.

    A block's with attention is added to its last layer's, any other's to what its halving makes of that; the last one
    halves nothing. None: behind the middle, which has none.
    """
    config = architecture.config
    kinds, layers = config["down_block_types"], config["layers_per_block"]
    ends, skip = [], 0
    for block, kind in enumerate(kinds):
        is_last = block == len(kinds) - 1
        skip += layers[block] if isinstance(layers, list) else layers
        ends.append(skip if is_last or crosses(kind) else skip + 1)
        skip += 1
    return {feature_name(place): end for place, end in enumerate([*ends, None])}


def added_places(architecture: Architecture) -> dict[str, Feature]:
    """By the names of the UNet's inputs that take residuals and features, what each is added to."""
    channels, layers = architecture.config["block_out_channels"], architecture.config["layers_per_block"]
    skips, last = [Feature(channels[0], 1)], len(channels) - 1
    for block, width in enumerate(channels):
        skips += [Feature(width, 2**block)] * (layers[block] if isinstance(layers, list) else layers)
        skips += [Feature(width, 2 ** (block + 1))] if block < last else []
    residuals = [*skips, Feature(channels[-1], 2**last)]
    features = {feature_name(place): each for place, each in enumerate(places(architecture))}
    return dict(zip(residual_names(architecture), residuals, strict=True)) | features


def is_feature(name: str) -> bool:
    """Whether an input of that name takes a feature."""
    return name.startswith(_FEATURE_STEM)


def is_controlled(names: Iterable[str]) -> bool:
    """Whether a UNet's inputs of these names are those under a ControlNet or an adapter."""
    return any(name.startswith((_STEM, _FEATURE_STEM)) for name in names)


def cross_attention_widths(unet: Component) -> dict[str, int]:
    """Of all that an image_prompt is for, by name, in its order."""
    return {name: shape[0] for name, shape in cross_attentions(unet.weights).items()}


def prompts_in(inputs: Mapping[str, Array]) -> int:
    """Of how many adapters a UNet's inputs bring what they make of pictures: keys and values each."""
    return inputs[IMAGE_PROMPT.name].shape[1] // 2 if IMAGE_PROMPT.name in inputs else 0


def added(given: Iterable[Mapping[str, Kept]]) -> dict[str, Kept]:
    """The sum of what several ControlNets and adapters give, by name."""
    total: dict[str, Kept] = {}
    for each in given:
        total |= {name: total[name] + array if name in total else array for name, array in each.items()}
    return total
