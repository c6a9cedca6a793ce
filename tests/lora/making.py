"""LoRA files in every format, made of the same random factors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from triptych.checkpoint import Component

Tensors = dict[str, torch.Tensor]
PARAMETERS = {
    "encoder": (
        "encoder.layers.0.self_attn.q_proj.weight",
        "encoder.layers.1.self_attn.out_proj.weight",
        "encoder.layers.1.mlp.fc1.weight",
    ),
    "unet": (
        "down_blocks.0.attentions.0.proj_in.weight",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj.weight",
        "down_blocks.0.downsamplers.0.conv.weight",
        "down_blocks.1.resnets.0.time_emb_proj.weight",
        "mid_block.resnets.1.conv2.weight",
        "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0.weight",
        "up_blocks.0.resnets.0.conv_shortcut.weight",
    ),
}
SDXL_PARAMETERS = {
    "encoder": (
        "encoder.layers.0.self_attn.q_proj.weight",
        "encoder.layers.2.self_attn.out_proj.weight",
        "encoder.layers.1.mlp.fc1.weight",
    ),
    "encoder_2": (
        "encoder.layers.0.self_attn.q_proj.weight",
        "encoder.layers.3.self_attn.out_proj.weight",
        "encoder.layers.2.mlp.fc2.weight",
    ),
    "unet": (
        "down_blocks.1.attentions.0.proj_in.weight",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight",
        "down_blocks.2.attentions.0.transformer_blocks.1.attn2.to_k.weight",
        "down_blocks.2.attentions.0.transformer_blocks.0.ff.net.0.proj.weight",
        "down_blocks.1.resnets.0.time_emb_proj.weight",
        "mid_block.resnets.1.conv2.weight",
        "mid_block.attentions.0.transformer_blocks.1.attn1.to_out.0.weight",
        "up_blocks.0.resnets.0.conv_shortcut.weight",
        "up_blocks.1.attentions.1.transformer_blocks.0.ff.net.2.weight",
        "up_blocks.2.resnets.1.conv1.weight",
    ),
}
BY_FAMILY = {"sd1": PARAMETERS, "sd2": PARAMETERS, "sdxl": SDXL_PARAMETERS}
ATTENTION = (".to_q.weight", ".to_k.weight", ".to_v.weight", ".to_out.0.weight")
PREFIXES = {"encoder": "text_encoder", "encoder_2": "text_encoder_2", "unet": "unet"}
KOHYA_PREFIXES = {"encoder": "lora_te_text_model", "unet": "lora_unet"}
KOHYA_SDXL_PREFIXES = {"encoder": "lora_te1_text_model", "encoder_2": "lora_te2_text_model", "unet": "lora_unet"}


@dataclass(frozen=True)
class Factors:
    """One parameter's change: alpha / rank * up @ down."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float

    @property
    def delta(self) -> torch.Tensor:
        """[out, in * height * width], in double precision."""
        product = self.up.double().flatten(1) @ self.down.double().flatten(1)
        return self.alpha / len(self.down) * product


Lora = dict[tuple[str, str], Factors]


def random_lora(
    components: Mapping[str, Component],
    rank: int = 4,
    alpha: float | None = 2.0,
    dtype: torch.dtype = torch.float32,
    only: Callable[[str, str], bool] = lambda model, parameter: True,
    family: str = "sd1",
) -> Lora:
    """Factors for a few parameters of each kind; alpha None is the rank."""
    chance = torch.Generator().manual_seed(rank)
    made = {}
    for model, parameters in BY_FAMILY[family].items():
        for parameter in parameters:
            if model in components and only(model, parameter):
                out, *rest = components[model].weights[parameter].shape
                tail = [1] * (len(rest) - 1)
                down = torch.randn(rank, *rest, generator=chance).to(dtype)
                up = torch.randn(out, rank, *tail, generator=chance).to(dtype)
                made[model, parameter] = Factors(down, up, float(rank if alpha is None else alpha))
    return made


def kohya(lora: Lora, prefixes: Mapping[str, str] = KOHYA_PREFIXES) -> Tensors:
    tensors: Tensors = {}
    for (model, parameter), factors in lora.items():
        key = f"{prefixes[model]}_{parameter.removesuffix('.weight').replace('.', '_')}"
        tensors |= {f"{key}.lora_down.weight": factors.down, f"{key}.lora_up.weight": factors.up}
        tensors[f"{key}.alpha"] = torch.tensor(factors.alpha)
    return tensors


def kohya_sdxl(lora: Lora, unet: Mapping[str, str] | None = None) -> Tensors:
    """As kohya's; `unet` are the UNet's parameters under other flat names."""
    tensors = kohya({place: factors for place, factors in lora.items() if place[0] != "unet"}, KOHYA_SDXL_PREFIXES)
    names = {parameter: name for name, parameter in (unet or {}).items()}
    return tensors | kohya(
        {
            (model, f"{names.get(parameter, parameter.removesuffix('.weight'))}.weight"): factors
            for (model, parameter), factors in lora.items()
            if model == "unet"
        }
    )


def diffusers(lora: Lora, text_model: str = "text_model.", alphas: bool = True) -> Tensors:
    tensors: Tensors = {}
    for (model, parameter), factors in lora.items():
        inner = "" if model == "unet" else text_model
        key = f"{PREFIXES[model]}.{inner}{parameter.removesuffix('.weight')}"
        tensors |= {f"{key}.lora_A.weight": factors.down, f"{key}.lora_B.weight": factors.up}
        if alphas:
            tensors[f"{key}.alpha"] = torch.tensor(factors.alpha)
    return tensors


def old_diffusers(lora: Lora, unet: str = "unet.") -> Tensors:
    """Attention only, and no alphas, as diffusers wrote it."""
    tensors: Tensors = {}
    for (model, parameter), factors in lora.items():
        stem, _, last = parameter.removesuffix(".weight").removesuffix(".0").rpartition(".")
        if model == "unet":
            key = f"{unet}{stem}.processor.{last}_lora"
        else:
            key = f"{PREFIXES[model]}.text_model.{stem}.{last}.lora_linear_layer"
        tensors |= {f"{key}.down.weight": factors.down, f"{key}.up.weight": factors.up}
    return tensors


def peft(lora: Lora, adapter: str = "", prefix: str = "base_model.model.") -> Tensors:
    tensors: Tensors = {}
    for (_, parameter), factors in lora.items():
        key = f"{prefix}{parameter.removesuffix('.weight')}"
        tensors |= {f"{key}.lora_A.{adapter}weight": factors.down, f"{key}.lora_B.{adapter}weight": factors.up}
    return tensors


def save(path: Path, tensors: Tensors, adapter: Mapping[str, object] | None = None) -> Path:
    """A safetensors file; `adapter` is put into the metadata as diffusers does it."""
    metadata = {"format": "pt"}
    if adapter is not None:
        metadata["lora_adapter_metadata"] = json.dumps(adapter)
    safetensors.torch.save_file(tensors, path, metadata)
    return path


def attention_only(model: str, parameter: str) -> bool:
    return (model != "unet" and "self_attn" in parameter) or parameter.endswith(ATTENTION)


def names(lora: Iterable[tuple[str, str]], model: str) -> set[str]:
    return {parameter for of, parameter in lora if of == model}
