"""Random T2I-Adapters and IP-Adapters for the checkpoints of `triptych.measuring.checkpoints`, as they are published.

adapter = ensure_ip_adapter(folder / "sd15-ip-adapter", SIZES["sd15"])
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from triptych.measuring.checkpoints import Size

_STANDARD_DEVIATION = 0.02
_PROMPT_TOKENS = 4
# CLIP's ViT-H/14, 632 million parameters; and for a UNet of no size one of none.
_VIT_H: dict[str, Any] = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
    "image_size": 224, "patch_size": 14, "projection_dim": 1024, "hidden_act": "gelu",
}  # fmt: skip
_TINY = _VIT_H | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_TINY_UNET_CHANNELS = 32
_FILE = "ip-adapter.safetensors"


def ensure_t2i_adapter(folder: Path, size: Size) -> Path:
    """The folder, made if it is not there; it appears whole or not at all."""
    return _ensure(folder, lambda building: _save_t2i_adapter(building, size))


def ensure_ip_adapter(folder: Path, size: Size) -> Path:
    """The file of a plain one in the folder, its image encoder beside it; likewise."""
    return _ensure(folder, lambda building: _save_ip_adapter(building, size)) / _FILE


def _ensure(folder: Path, save: Callable[[Path], None]) -> Path:
    if not folder.is_dir():
        building = folder.with_name(f"{folder.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        save(building)
        building.rename(folder)
    return folder


def _save_t2i_adapter(folder: Path, size: Size) -> None:
    import torch
    from diffusers import T2IAdapter

    torch.manual_seed(0)
    channels = [*_unet(size).config["block_out_channels"]]
    if size.second_text:
        adapter = T2IAdapter(channels=[*channels, channels[-1]], downscale_factor=16, adapter_type="full_adapter_xl")
    else:
        adapter = T2IAdapter(channels=channels, downscale_factor=8, adapter_type="full_adapter")
    adapter.to(getattr(torch, size.dtype)).save_pretrained(folder)


def _save_ip_adapter(folder: Path, size: Size) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    unet, dtype = _unet(size), getattr(torch, size.dtype)
    seeing = _TINY if unet.config["block_out_channels"][-1] <= _TINY_UNET_CHANNELS else _VIT_H
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**seeing))
    encoder.to(dtype).save_pretrained(folder / "image_encoder")
    width = unet.config["cross_attention_dim"]
    shapes = {"image_proj.proj.weight": (_PROMPT_TOKENS * width, seeing["projection_dim"])} | dict(_keys(unet, width))
    tensors = {name: torch.randn(shape) * _STANDARD_DEVIATION for name, shape in shapes.items()}
    tensors["image_proj.proj.bias"] = torch.zeros(_PROMPT_TOKENS * width)
    tensors |= {"image_proj.norm.weight": torch.ones(width), "image_proj.norm.bias": torch.zeros(width)}
    save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, folder / _FILE)


def _keys(unet: Any, width: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """For each of its cross-attentions, counted with the others, as diffusers has them."""
    for place, name in enumerate(unet.attn_processors):
        if ".attn2." in name:
            hidden = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
            yield from ((f"ip_adapter.{place}.to_{side}_ip.weight", (hidden, width)) for side in "kv")


def _unet(size: Size) -> Any:
    """One without weights."""
    import torch
    from diffusers import UNet2DConditionModel

    unet: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768}
    with torch.device("meta"):
        return UNet2DConditionModel(**unet | dict(size.unet))
