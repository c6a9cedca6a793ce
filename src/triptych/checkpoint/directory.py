"""A checkpoint as a diffusers-format directory, checked whole before anything is loaded from it.

checkpoint = Checkpoint.open(Path("stable-diffusion-v1-5"))
checkpoint.components["unet"].architecture.digest()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from triptych.checkpoint.architecture import Architecture
from triptych.checkpoint.configs import broken, channel_list, read_json, whole_number
from triptych.checkpoint.corrections import sample_size, scheduler_config, text_config
from triptych.checkpoint.families import no_index, unsupported
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.values import check_values, count_layers
from triptych.checkpoint.weights import read_weights
from triptych.contract import ENCODER, UNET, VAE_DECODER
from triptych.contract.checkpoints import not_a_directory

# Pipelines for other tasks have the components of the one for text; what they have besides is not asked for.
FAMILIES = {
    f"StableDiffusion{task}Pipeline": "stable-diffusion"
    for task in ("", "Img2Img", "Inpaint", "ControlNet", "ControlNetImg2Img", "ControlNetInpaint")
} | {"StableDiffusionInpaintPipelineLegacy": "stable-diffusion"}
# Where each model of the contract lies in the directory, and the class that it may be.
_PLACES = {
    ENCODER.name: ("text_encoder", "CLIPTextModel"),
    UNET.name: ("unet", "UNet2DConditionModel"),
    VAE_DECODER.name: ("vae", "AutoencoderKL"),
}
# Inputs that a UNet of another family wants and that no request of ours brings.
_FOREIGN_UNET_KEYS = (
    "addition_embed_type",
    "class_embed_type",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "num_class_embeds",
    "time_cond_proj_dim",
)
_LEAST = {"scaling_factor": 1e-6, "shift_factor": 0}


@dataclass(frozen=True)
class Component:
    """One model of a checkpoint: what it is, its configuration file's values, and where every weight lies."""

    folder: Path
    architecture: Architecture
    config: Mapping[str, Any]
    weights: Mapping[str, TensorInfo]
    latent_size: tuple[int, int] = (64, 64)  # height and width of the latents of the checkpoint's own pictures

    @classmethod
    def open(cls, root: Path, index: Mapping[str, Any], model: str) -> Component:
        """Reads one component's configuration and its weight files' headers."""
        subfolder, class_name = _PLACES[model]
        entry = index.get(subfolder)
        if not isinstance(entry, list) or len(entry) != 2 or entry[1] != class_name:
            raise broken(root / "model_index.json", f"{subfolder} must be a {class_name}, not {entry!r}")
        folder = root / subfolder
        config: Mapping[str, Any] = read_json(folder / "config.json", root)
        if model == ENCODER.name:
            config = text_config(folder / "config.json", config)
        architecture = Architecture.of(model, class_name, config)
        check_values(folder / "config.json", class_name, architecture.config)
        weights = read_weights(folder, class_name, root)
        if (layers := count_layers(class_name, architecture.config)) > len(weights):
            raise broken(
                folder / "config.json", f"asks for {layers} layers, but the weights have {len(weights)} tensors"
            )
        return cls(folder, architecture, config, weights)

    def expect_shape(self, name: str, shape: tuple[int, ...], *keys: str) -> None:
        """CheckpointInvalidError unless the tensor is there in that shape, which the configuration gives by `keys`."""
        found = self.weights.get(name)
        if found is None or found.shape != shape:
            what = "is missing" if found is None else f"has shape {found.shape}"
            problem = f"the configuration asks for {name} {shape}, which {what}{self.assumed(*keys)}"
            raise broken(self.folder / "config.json", problem)

    def assumed(self, *keys: str) -> str:
        """For the end of an error about the keys: which of them the file does not say, so that a default was taken."""
        defaults = [f"{key}={self.architecture.config[key]}" for key in keys if self.config.get(key) is None]
        return f" (it does not say {', '.join(defaults)}, which is the default)" if defaults else ""


@dataclass(frozen=True)
class Checkpoint:
    """All that orchestrator and stages need to know of a checkpoint; sizes in pixels unless named latent.

    The default sizes are 0 where the checkpoint names none.
    """

    path: Path
    family: str
    components: Mapping[str, Component]
    scheduler_config: Mapping[str, Any]
    tokens: int
    latent_channels: int
    vae_scale_factor: int
    default_height: int
    default_width: int

    @classmethod
    def open(cls, path: Path) -> Checkpoint:
        """Checks the directory whole; CheckpointInvalidError names the file and the remedy."""
        try:
            return cls._open(path)
        except OSError as error:
            file = Path(str(error.filename or path))
            raise broken(file, error.strerror or str(error)) from error

    @classmethod
    def _open(cls, path: Path) -> Checkpoint:
        if not path.is_dir():
            raise broken(path, not_a_directory(str(path)) or "no such directory")
        index_path = path / "model_index.json"
        if not (index_path.exists() or index_path.is_symlink()):
            raise broken(index_path, no_index(path))
        index = read_json(index_path, path)
        family = FAMILIES.get(str(index.get("_class_name")))
        if family is None:
            raise broken(index_path, unsupported(index.get("_class_name"), FAMILIES))
        scheduler = scheduler_config(read_json(path / "scheduler" / "scheduler_config.json", path), index)
        components = {model: Component.open(path, index, model) for model in _PLACES}
        encoder, unet, vae = (components[spec.name] for spec in (ENCODER, UNET, VAE_DECODER))
        latent_channels = _check_vae(vae)
        _check_unet(unet, latent_channels)
        tokens = _check_encoder(encoder, unet)
        scale = 2 ** (len(vae.architecture.config["block_out_channels"]) - 1)
        height, width = (extent * scale for extent in sample_size(unet.folder / "config.json", unet.config))
        # The VAE's own configuration may name another size, and the VAE draws what the UNet makes.
        own_size = (height // scale or 64, width // scale or 64)
        components = {model: replace(part, latent_size=own_size) for model, part in components.items()}
        return cls(path, family, components, scheduler, tokens, latent_channels, scale, height, width)

    @property
    def weights_bytes(self) -> int:
        """Bytes of all tensors in the weight files."""
        return sum(info.size_bytes for part in self.components.values() for info in part.weights.values())


def _check_vae(vae: Component) -> int:
    path, config = vae.folder / "config.json", vae.architecture.config
    latent_channels = whole_number(path, config, "latent_channels", high=256)
    channels = channel_list(path, config)
    if whole_number(path, config, "out_channels", high=16) != 3:
        raise broken(path, "out_channels must be 3 (RGB)")
    for key in ("scaling_factor", "shift_factor"):
        value = vae.config.get(key)
        if value is not None and (type(value) not in (int, float) or not _LEAST[key] <= abs(value) <= 1e6):
            raise broken(path, f"{key} must be a number, not {value!r}")
    conv_in = (channels[-1], latent_channels, 3, 3)
    vae.expect_shape("decoder.conv_in.weight", conv_in, "latent_channels", "block_out_channels")
    vae.expect_shape("decoder.conv_out.weight", (3, channels[0], 3, 3), "out_channels", "block_out_channels")
    return latent_channels


def _check_unet(unet: Component, latent_channels: int) -> None:
    path, config = unet.folder / "config.json", unet.architecture.config
    channels = channel_list(path, config)
    for key in _FOREIGN_UNET_KEYS:
        if unet.config.get(key) is not None:
            raise broken(path, f"{key}={unet.config[key]!r} belongs to a family that is not supported")
    if unet.config.get("num_attention_heads") is not None:
        raise broken(path, "num_attention_heads must be null: diffusers takes attention_head_dim for that count")
    in_channels = whole_number(path, config, "in_channels", high=256)
    out_channels = whole_number(path, config, "out_channels", high=256)
    if (in_channels, out_channels) != (latent_channels, latent_channels):
        problem = f"in_channels {in_channels} and out_channels {out_channels} must be the VAE's {latent_channels}"
        if in_channels > latent_channels:
            problem += (
                "; this one draws from a picture or a mask besides, and only those that draw from text are served"
            )
        raise broken(path, problem + unet.assumed("in_channels", "out_channels"))
    kernel = whole_number(path, config, "conv_in_kernel", high=15)
    conv_in = (channels[0], in_channels, kernel, kernel)
    unet.expect_shape("conv_in.weight", conv_in, "block_out_channels", "in_channels", "conv_in_kernel")


def _check_encoder(encoder: Component, unet: Component) -> int:
    path = encoder.folder / "config.json"
    if encoder.config.get("use_attention_mask"):
        raise broken(path, "use_attention_mask is not supported for this family")
    config = encoder.architecture.config
    tokens = whole_number(path, config, "max_position_embeddings", low=3, high=4096)
    hidden = whole_number(path, config, "hidden_size", high=65536)
    vocabulary = whole_number(path, config, "vocab_size", high=1 << 24)
    encoder.expect_shape("embeddings.token_embedding.weight", (vocabulary, hidden), "vocab_size", "hidden_size")
    encoder.expect_shape(
        "embeddings.position_embedding.weight", (tokens, hidden), "max_position_embeddings", "hidden_size"
    )
    intermediate = config["intermediate_size"]
    encoder.expect_shape("encoder.layers.0.mlp.fc1.weight", (intermediate, hidden), "intermediate_size", "hidden_size")
    if unet.architecture.config["cross_attention_dim"] != hidden:
        raise broken(
            unet.folder / "config.json",
            f"cross_attention_dim {unet.architecture.config['cross_attention_dim']!r} must be the text encoder's "
            f"hidden_size {hidden}{unet.assumed('cross_attention_dim')}",
        )
    return tokens
