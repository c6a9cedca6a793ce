"""Tiny IP-Adapters of the true architectures, in the files and the layout that they were published in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

HIDDEN, PROJECTED, IMAGE_SIZE = 32, 24, 48
KINDS = ("plain", "plus", "full")
Tensors = dict[str, torch.Tensor]


def save_image_encoder(folder: Path, seed: int = 31) -> Path:
    """CLIP's of three layers and ten tokens."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=HIDDEN, intermediate_size=64, projection_dim=PROJECTED, num_hidden_layers=3,
        num_attention_heads=4, image_size=IMAGE_SIZE, patch_size=16, hidden_act="gelu",
    )  # fmt: skip
    model = CLIPVisionModelWithProjection(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data = torch.randn(parameter.shape) * 0.2
    model.save_pretrained(folder)
    return folder


def save_ip_adapter(folder: Path, checkpoint: Path, kind: str = "plain", seed: int = 41) -> Path:
    """The file `<kind>.safetensors` for the checkpoint's UNet, its image encoder beside it."""
    if not (folder / "image_encoder").exists():
        save_image_encoder(folder / "image_encoder")
    tensors = adapter_tensors(checkpoint, kind, seed)
    file = folder / f"{kind}.safetensors"
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, file)
    return file


def adapter_tensors(checkpoint: Path, kind: str, seed: int = 41) -> Tensors:
    """By the names of the files as they were published."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(checkpoint / "unet")
    width = unet.config["cross_attention_dim"]
    layers = [name.removesuffix(".processor") for name in unet.attn_processors if "attn2" in name]
    tensors = {f"image_proj.{name}": tensor for name, tensor in projection(kind, width).items()}
    for place, layer in enumerate(layers):
        hidden = unet.get_submodule(layer).to_k.weight.shape[0]
        for side in "kv":
            tensors[f"ip_adapter.{2 * place + 1}.to_{side}_ip.weight"] = torch.randn(hidden, width) / 2
    return tensors


def projection(
    kind: str, width: int, hidden: int = HIDDEN, projected: int = PROJECTED, inner: int = 64, tokens: int = 6
) -> Tensors:
    """What stands between an encoder of these widths and the UNet; `inner` and `tokens` are a resampler's."""
    from diffusers.models import embeddings

    if kind == "plain":
        module: Any = embeddings.ImageProjection(projected, width, 4)
        return _renamed(module, {"image_embeds.": "proj."})
    if kind == "full":
        module = embeddings.IPAdapterFullImageProjection(hidden, width)
        return _renamed(module, {r"ff\.net\.0\.proj": "proj.0", r"ff\.net\.2": "proj.2", "^norm": "proj.3"})
    module = embeddings.IPAdapterPlusImageProjection(
        hidden, width, hidden_dims=inner, heads=inner // 64, num_queries=tokens
    )
    names = {
        r"(\d)\.ln0": r"\1.0.norm1", r"(\d)\.ln1": r"\1.0.norm2", r"(\d)\.ff\.0\.": r"\1.1.0.",
        r"(\d)\.ff\.1\.net\.0\.proj": r"\1.1.1", r"(\d)\.ff\.1\.net\.2": r"\1.1.3",
        r"(\d)\.attn\.to_out\.0": r"\1.0.to_out", r"(\d)\.attn\.": r"\1.0.",
    }  # fmt: skip
    tensors = _renamed(module, names)
    for layer in range(4):
        pair = [tensors.pop(f"layers.{layer}.0.to_{side}.weight") for side in "kv"]
        tensors[f"layers.{layer}.0.to_kv.weight"] = torch.cat(pair)
    return tensors


def _renamed(module: Any, names: dict[str, str]) -> Tensors:
    found = {}
    for name, tensor in module.state_dict().items():
        for pattern, new in names.items():
            name = re.sub(pattern, new, name)
        found[name] = tensor
    return found
