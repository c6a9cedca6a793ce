"""IP-Adapters, which draw nothing by themselves: what they make of a picture is looked at beside the text.

Ye et al., "IP-Adapter" (arXiv:2308.06721), equation 5: each cross-attention attends to the image's keys and values too,
by the same queries, and both answers are summed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.configs import broken, whole_number
from triptych.checkpoint.families.base import Family
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.feature_extractor import FeatureExtractor
from triptych.checkpoint.sources.image_encoder import ENCODER_CLASS, PART
from triptych.checkpoint.sources.ip_adapter import ATTENTIONS, CLASS
from triptych.contract import IMAGE_ENCODER

_KEYS = re.compile(rf"{re.escape(ATTENTIONS)}(\d{{1,4}})\.to_k_ip\.weight")
_CROSS = re.compile(r"(down_blocks|up_blocks|mid_block)\..+\.attn2\.to_k\.weight")
# The order in which diffusers has a UNet's blocks, by which an adapter's matrices are counted.
_BLOCKS = ("down_blocks", "up_blocks", "mid_block")
_MOST = {"image_size": 1024, "patch_size": 128, "resampler_layers": 64, "prompt_tokens": 4096}
_TITLES = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}


def _check(components: Mapping[str, Component]) -> None:
    encoder = components[IMAGE_ENCODER.name]
    config = encoder.architecture.config
    for key, value in config.items():
        if isinstance(value, int) and not isinstance(value, bool):
            whole_number(encoder.file, config, key, high=_MOST.get(key, 1 << 16))
    if config["image_size"] % config["patch_size"]:
        raise broken(encoder.file, "image_size must be a multiple of patch_size")
    width = config["cross_attention_dim"]
    pairs = image_attentions(encoder)
    if not pairs:
        raise broken(encoder.place, f"it lacks {ATTENTIONS}1.to_k_ip.weight")
    for pair in pairs:
        hidden = encoder.weights[pair[0]].shape[0] if encoder.weights[pair[0]].shape else 0
        for name in pair:
            encoder.expect_shape(name, (hidden, width))


def image_attentions(adapter: Component) -> list[tuple[str, str]]:
    """The names of the matrices for keys and for values, for each cross-attention of a UNet in their order."""
    numbers = sorted(int(match[1]) for match in map(_KEYS.fullmatch, adapter.weights) if match)
    stems = [f"{ATTENTIONS}{number}.to_" for number in numbers]
    return [(f"{stem}k_ip.weight", f"{stem}v_ip.weight") for stem in stems]


def cross_attentions(weights: Mapping[str, TensorInfo]) -> dict[str, tuple[int, ...]]:
    """A UNet's, by name in an adapter's order, each with its width and the text's."""
    found = [name for name in weights if _CROSS.fullmatch(name)]
    return {name.removesuffix(".to_k.weight"): weights[name].shape for name in sorted(found, key=_place)}


def extractor_of(adapter: Component) -> FeatureExtractor:
    """Of its image encoder: CLIPImageProcessor of the encoder's own size, as diffusers makes it."""
    size = adapter.architecture.config["image_size"]
    return FeatureExtractor.of(adapter.file, {"size": size, "crop_size": size})


def misfit(adapter: Component, unet: Component) -> str:
    """What keeps an adapter from a UNet; "" where nothing does."""
    ours = [adapter.weights[keys].shape for keys, _ in image_attentions(adapter)]
    theirs = [*cross_attentions(unet.weights).values()]
    if ours == theirs:
        return ""
    width, other = adapter.architecture.config["cross_attention_dim"], theirs[0][1] if theirs else 0
    if width != other and width in _TITLES:
        return f"is made for {_TITLES[width]}, by its cross_attention_dim {width}"
    if width != other:
        return f"has cross_attention_dim {width}, and the checkpoint's UNet {other}"
    return f"is for a UNet with {len(ours)} cross-attentions of its widths, and the checkpoint's has {len(theirs)}"


def _place(name: str) -> tuple[int, list[int]]:
    block = name.partition(".")[0]
    return _BLOCKS.index(block), [int(part) for part in name.split(".") if part.isdecimal()]


IP_ADAPTER = Family(
    name="ip-adapter",
    title="an IP-Adapter",
    pipelines=(CLASS,),
    parts={IMAGE_ENCODER.name: Part(PART, ENCODER_CLASS)},
    texts=(),
    fields=frozenset(),
    check=_check,
)
