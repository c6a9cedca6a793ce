"""What is told of a checkpoint to people: its format, architecture and precision, and what its file says of itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from triptych.checkpoint.component import Component
from triptych.checkpoint.directory import Checkpoint
from triptych.checkpoint.editing import INPAINTING, INSTRUCTED
from triptych.checkpoint.families.controls import control_union_types, controls
from triptych.checkpoint.families.upscalers import upscale_factor
from triptych.contract import CONTROLNET, IMAGE_ENCODER, PREPROCESSOR, T2I_ADAPTER, UNET, UPSCALER, VAE_DECODER

# Keys of a file's metadata, the one that counts first: Stability's modelspec, kohya's scripts, others.
_TITLES = ("modelspec.title", "ss_output_name", "title")
_TRIGGERS = ("modelspec.trigger_phrase", "trigger_words", "trigger_word")
_MOST_TRIGGERS = 20
_LONGEST = 200
_PRECISIONS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3",
    "F8_E5M2": "float8_e5m2",
}
_DIGEST_LETTERS = 8
_EDITING = {INSTRUCTED: "instructed", INPAINTING: "inpainting", None: "drawing"}
# Models whose architecture is told, the first that is there, each with the width that goes with it.
_NAMED = (
    (UNET.name, "cross_attention_dim"),
    (CONTROLNET, "cross_attention_dim"),
    (VAE_DECODER.name, "latent_channels"),
)


@dataclass(frozen=True)
class About:
    """`architecture` is equal where checkpoints share a UNet's graph; `precision` names all types, the most first.

    `purpose` is "drawing", "instructed" or "inpainting", or of what draws nothing by itself "vae",
    "upscaling", "controlling", "preparing" or "prompting". `union_types` are those of a union ControlNet.
    """

    format: str
    architecture: str
    precision: str
    title: str
    trigger_words: tuple[str, ...]
    purpose: str
    union_types: tuple[str, ...] = ()


def about(checkpoint: Checkpoint) -> About:
    """From what was read when it was opened."""
    metadata = checkpoint.source.metadata()
    return About(
        checkpoint.source.format,
        _architecture(checkpoint.components),
        _precision(checkpoint.components),
        _first(metadata, _TITLES)[:_LONGEST],
        _words(_first(metadata, _TRIGGERS)),
        _purpose(checkpoint),
        control_union_types(checkpoint.components),
    )


def _purpose(checkpoint: Checkpoint) -> str:
    if checkpoint.family.draws:
        return _EDITING[checkpoint.editing]
    if controls(checkpoint.components):
        return "controlling"
    if checkpoint.family.prepares:
        return "preparing"
    if IMAGE_ENCODER.name in checkpoint.components:
        return "prompting"
    return "upscaling" if UPSCALER.name in checkpoint.components else "vae"


def _architecture(components: Mapping[str, Component]) -> str:
    """Channels, the width of the text, and what tells it from all others: "320-640-1280-1280/768 9c1f3b2a".

    Of a ControlNet its own; of a T2I-Adapter its channels and its type; of a VAE alone that of its decoder, with the
    channels of its latents; of an upscaler its features and its factor; of a preprocessor the size that it takes; of an
    IP-Adapter its kind, the width of what it is given, and that of the text.
    """
    if PREPROCESSOR.name in components:
        return _network(components[PREPROCESSOR.name])
    if UPSCALER.name in components:
        architecture = components[UPSCALER.name].architecture
        told = f"{architecture.config['num_feat']}/x{upscale_factor(architecture)}"
        return f"{told} {architecture.digest()[:_DIGEST_LETTERS]}"
    if T2I_ADAPTER in components:
        architecture = components[T2I_ADAPTER].architecture
        channels = "-".join(map(str, architecture.config["channels"]))
        return f"{channels}/{architecture.config['adapter_type']} {architecture.digest()[:_DIGEST_LETTERS]}"
    if IMAGE_ENCODER.name in components:
        architecture = components[IMAGE_ENCODER.name].architecture
        told = "{image_projection}/{hidden_size}/{cross_attention_dim}".format(**architecture.config)
        return f"{told} {architecture.digest()[:_DIGEST_LETTERS]}"
    model, width = next(each for each in _NAMED if each[0] in components)
    architecture = components[model].architecture
    channels = "-".join(map(str, architecture.config["block_out_channels"]))
    return f"{channels}/{architecture.config[width]} {architecture.digest()[:_DIGEST_LETTERS]}"


def _network(component: Component) -> str:
    config = component.architecture.config
    extents = [str(config[key] or "any") for key in ("width", "height")]
    return f"{config['channels']}/{'x'.join(extents)} {component.architecture.digest()[:_DIGEST_LETTERS]}"


def _precision(components: Mapping[str, Component]) -> str:
    sizes: Counter[str] = Counter()
    for component in components.values():
        for info in component.weights.values():
            if info.dtype in _PRECISIONS:
                sizes[_PRECISIONS[info.dtype]] += info.size_bytes
    return ", ".join(name for name, _ in sizes.most_common())


def _first(metadata: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((text for key in keys if (text := metadata.get(key, "").strip())), "")


def _words(text: str) -> tuple[str, ...]:
    words = [word.strip()[:_LONGEST] for word in re.split(r"[,;\n]", text)]
    return tuple(dict.fromkeys(word for word in words if word))[:_MOST_TRIGGERS]
