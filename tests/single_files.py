"""Tiny checkpoints whose sizes are the real ones' in proportion, as diffusers' folders and as the community's files.

A file's names are made from diffusers' modules, in the order in which the original implementation has them: so nothing
of the code that reads them is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from tests import tiny
from triptych.checkpoint.sources.clip_vocabulary import tokenizer_file

TOKENS = 49_408
VAE_CHANNELS = (32, 32, 32, 64)
Named = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Kind:
    """How a kind's parts are made; `prefixes` are those of its text encoders in the file."""

    pipeline: str
    scheduler: dict[str, Any]
    prefixes: tuple[str, ...]
    unet: dict[str, Any]
    scaling_factor: float = 0.18215


_CROSS, _PLAIN = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")
_SD1_UNET: dict[str, Any] = {
    "sample_size": 64,
    "block_out_channels": (32, 64),
    "cross_attention_dim": 64,
    "attention_head_dim": 8,
    "down_block_types": (_CROSS[0], _PLAIN[0]),
    "up_block_types": (_PLAIN[1], _CROSS[1]),
}
_SD2_UNET: dict[str, Any] = _SD1_UNET | {
    "sample_size": 96,
    "block_out_channels": (64, 128),
    "attention_head_dim": (1, 2),
    "use_linear_projection": True,
    "upcast_attention": True,
}
_SDXL_UNET: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (32, 64, 128),
    "cross_attention_dim": 64 + 96,
    "attention_head_dim": (1, 1, 2),
    "transformer_layers_per_block": (1, 1, 2),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 96 + 6 * 8,
    "down_block_types": (_PLAIN[0], _CROSS[0], _CROSS[0]),
    "up_block_types": (_CROSS[1], _CROSS[1], _PLAIN[1]),
}
_REFINER_UNET: dict[str, Any] = _SDXL_UNET | {
    "block_out_channels": (32, 64, 128, 128),
    "cross_attention_dim": 96,
    "attention_head_dim": (1, 1, 2, 2),
    "transformer_layers_per_block": 1,
    "projection_class_embeddings_input_dim": 96 + 5 * 8,
    "down_block_types": (_PLAIN[0], _CROSS[0], _CROSS[0], _PLAIN[0]),
    "up_block_types": (_PLAIN[1], _CROSS[1], _CROSS[1], _PLAIN[1]),
}
_SD1, _SD2 = ("cond_stage_model.transformer.text_model.",), ("cond_stage_model.model.",)
_SDXL = ("conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model.")
_EPSILON = {**tiny.SD2_SCHEDULER, "prediction_type": "epsilon"}

KINDS = {
    "sd1": Kind("StableDiffusionPipeline", tiny.SD1_SCHEDULER, _SD1, _SD1_UNET),
    "sd1-inpaint": Kind("StableDiffusionInpaintPipeline", tiny.SD1_SCHEDULER, _SD1, _SD1_UNET | {"in_channels": 9}),
    "sd1-pix2pix": Kind(
        "StableDiffusionInstructPix2PixPipeline", tiny.SD1_SCHEDULER, _SD1, _SD1_UNET | {"in_channels": 8}
    ),
    "sd2": Kind("StableDiffusionPipeline", tiny.SD2_SCHEDULER, _SD2, _SD2_UNET),
    "sd2-epsilon": Kind("StableDiffusionPipeline", _EPSILON, _SD2, _SD2_UNET),
    "sd2-inpaint": Kind("StableDiffusionInpaintPipeline", _EPSILON, _SD2, _SD2_UNET | {"in_channels": 9}),
    "sdxl": Kind("StableDiffusionXLPipeline", tiny.SDXL_SCHEDULER, _SDXL, _SDXL_UNET, 0.13025),
    "sdxl-inpaint": Kind(
        "StableDiffusionXLInpaintPipeline", tiny.SDXL_SCHEDULER, _SDXL, _SDXL_UNET | {"in_channels": 9}, 0.13025
    ),
    "refiner": Kind(
        "StableDiffusionXLImg2ImgPipeline",
        tiny.SDXL_SCHEDULER,
        ("conditioner.embedders.0.model.",),
        _REFINER_UNET,
        0.13025,
    ),
}


@dataclass(frozen=True)
class Pair:
    """The same weights twice."""

    folder: Path
    file: Path


def save_pair(root: Path, name: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> Pair:
    """A folder that diffusers reads, and a single file of the same tensors."""
    folder, kind = root / name, KINDS[name]
    torch.manual_seed(seed)
    models = _models(name, kind)
    for part, model in models.items():
        (model if dtype is torch.float32 else model.to(dtype)).save_pretrained(folder / part)
    for part in models:
        if part.startswith("text_encoder"):
            second = part.endswith("_2") or name.startswith("sd2")
            save_clip_tokenizer(folder / part.replace("text_encoder", "tokenizer"), "!" if second else "<|endoftext|>")
    (folder / "scheduler").mkdir()
    # All of the original checkpoints' folders say so, whatever their scheduler is, for PNDM in its place.
    scheduler = {**kind.scheduler, "skip_prk_steps": True}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    (folder / "model_index.json").write_text(json.dumps(_index(kind, models)))
    file = root / f"{name}.safetensors"
    tensors = {key: tensor.clone().contiguous() for key, tensor in original(models, kind).items()}
    told = {"epsilon": "epsilon", "v_prediction": "v"}.get(kind.scheduler.get("prediction_type", ""))
    save_file(tensors, file, {"modelspec.prediction_type": told} if told else {"format": "pt"})
    return Pair(folder, file)


def save_clip_tokenizer(folder: Path, pad_token: str) -> None:
    """The real vocabulary."""
    folder.mkdir(parents=True)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        content = tokenizer_file(name, pad_token)
        assert content is not None
        (folder / name).write_bytes(content)


def original(models: dict[str, Any], kind: Kind) -> Named:
    """All tensors of a file, with what trainers leave in it besides."""
    tensors = _below("model.diffusion_model.", original_unet(models["unet"]))
    tensors |= _below("first_stage_model.", original_vae(models["vae"]))
    texts = [model for part, model in models.items() if part.startswith("text_encoder")]
    for prefix, model in zip(kind.prefixes, texts, strict=True):
        if prefix.endswith("text_model."):
            state = {key.removeprefix("text_model."): tensor for key, tensor in model.state_dict().items()}
            state["embeddings.position_ids"] = torch.arange(77)[None]
        else:
            state = original_open_clip(model, has_more=kind.prefixes == _SD2)
        tensors |= _below(prefix, state)
    ema = {f"model_ema.{key.replace('.', '')}": torch.zeros(2) for key in list(tensors)[:120]}
    return tensors | ema | {"alphas_cumprod": torch.zeros(1000), "first_stage_model.loss.logvar": torch.zeros(())}


def original_unet(unet: Any) -> Named:
    """Block by block, as openaimodel.py numbers them; of a ControlNet those that it has too."""
    tensors: Named = {}

    def put(place: str, module: nn.Module) -> None:
        tensors.update(_below(f"{place}.", module.state_dict()))

    put("time_embed.0", unet.time_embedding.linear_1)
    put("time_embed.2", unet.time_embedding.linear_2)
    if unet.config.addition_embed_type:
        put("label_emb.0.0", unet.add_embedding.linear_1)
        put("label_emb.0.2", unet.add_embedding.linear_2)
    put("input_blocks.0.0", unet.conv_in)
    place = 1
    for block in unet.down_blocks:
        for resnet, attention in _layers(block):
            tensors.update(_below(f"input_blocks.{place}.0.", _resnet(resnet)))
            if attention is not None:
                put(f"input_blocks.{place}.1", attention)
            place += 1
        for resampling in block.downsamplers or ():
            put(f"input_blocks.{place}.0.op", resampling.conv)
            place += 1
    for number, module in enumerate((unet.mid_block.resnets[0], None, unet.mid_block.resnets[1])):
        tensors.update(_below(f"middle_block.{number}.", _resnet(module) if module is not None else {}))
    put("middle_block.1", unet.mid_block.attentions[0])
    place = 0
    for block in getattr(unet, "up_blocks", ()):
        for resnet, attention in _layers(block):
            tensors.update(_below(f"output_blocks.{place}.0.", _resnet(resnet)))
            if attention is not None:
                put(f"output_blocks.{place}.1", attention)
            place += 1
        for resampling in block.upsamplers or ():
            put(f"output_blocks.{place - 1}.{2 if _layers(block)[0][1] is not None else 1}.conv", resampling.conv)
    if hasattr(unet, "conv_out"):
        put("out.0", unet.conv_norm_out)
        put("out.2", unet.conv_out)
    return tensors


def original_control_net(net: Any) -> Named:
    """As cldm.py has it: a UNet's way down and middle, and what makes the hint and the residuals."""
    tensors = original_unet(net)
    embedding = net.controlnet_cond_embedding
    for place, layer in enumerate([embedding.conv_in, *embedding.blocks, embedding.conv_out]):
        tensors |= _below(f"input_hint_block.{2 * place}.", layer.state_dict())
    for place, layer in enumerate(net.controlnet_down_blocks):
        tensors |= _below(f"zero_convs.{place}.0.", layer.state_dict())
    return tensors | _below("middle_block_out.0.", net.controlnet_mid_block.state_dict())


def original_control_lora(net: Any, unet: Any, rank: int = 2) -> Named:
    """As Stability AI's are: factors for every matrix that the UNet has too, all else whole.

    The network's own weights, which should be the UNet's, become the sums.
    """
    tensors, shared = original_control_net(net), original_unet(unet)
    made: Named = {"lora_controlnet": torch.zeros(0)}
    for name, weight in tensors.items():
        if name not in shared or weight.ndim < 2:
            made[name] = weight.clone()
            continue
        up, down = torch.randn(len(weight), rank) * 0.1, torch.randn(rank, *weight.shape[1:]) * 0.1
        stem = name.removesuffix(".weight")
        made |= {f"{stem}.up": up if weight.ndim == 2 else up[:, :, None, None], f"{stem}.down": down}
        weight += (up @ down.flatten(1)).reshape(weight.shape)
    return made


def original_vae(vae: Any) -> Named:
    """As model.py of the autoencoder has it: 1x1 convolutions in the attention, the way up counted from its end."""
    tensors: Named = {}
    for side, half in (("encoder", vae.encoder), ("decoder", vae.decoder)):
        is_down = side == "encoder"
        blocks = list(half.down_blocks) if is_down else list(reversed(half.up_blocks))
        for number, block in enumerate(blocks):
            stem = f"{side}.{'down' if is_down else 'up'}.{number}"
            for layer, resnet in enumerate(block.resnets):
                tensors |= _below(f"{stem}.block.{layer}.", _vae_resnet(resnet))
            for resampling in (block.downsamplers if is_down else block.upsamplers) or ():
                sampling = "downsample" if is_down else "upsample"
                tensors |= _below(f"{stem}.{sampling}.conv.", resampling.conv.state_dict())
        for number in (1, 2):
            tensors |= _below(f"{side}.mid.block_{number}.", _vae_resnet(half.mid_block.resnets[number - 1]))
        attention = half.mid_block.attentions[0]
        tensors |= _below(f"{side}.mid.attn_1.norm.", attention.group_norm.state_dict())
        matrices = {"q": attention.to_q, "k": attention.to_k, "v": attention.to_v, "proj_out": attention.to_out[0]}
        for name, matrix in matrices.items():
            tensors[f"{side}.mid.attn_1.{name}.weight"] = matrix.weight[:, :, None, None]
            tensors[f"{side}.mid.attn_1.{name}.bias"] = matrix.bias
        for name, module in (("conv_in", half.conv_in), ("norm_out", half.conv_norm_out), ("conv_out", half.conv_out)):
            tensors |= _below(f"{side}.{name}.", module.state_dict())
    for name in ("quant_conv", "post_quant_conv"):
        tensors |= _below(f"{name}.", getattr(vae, name).state_dict())
    return {key: tensor.detach() for key, tensor in tensors.items()}


def original_open_clip(model: Any, has_more: bool) -> Named:
    """As open_clip's TextTransformer has it; `has_more`: with a last layer and a projection that are not used."""
    text = getattr(model, "text_model", model)
    hidden = text.config.hidden_size
    tensors: Named = {
        "positional_embedding": text.embeddings.position_embedding.weight,
        "token_embedding.weight": text.embeddings.token_embedding.weight,
        "logit_scale": torch.tensor(4.6),
        "text_projection": model.text_projection.weight.T if not has_more else torch.randn(hidden, 64),
    }
    tensors |= _below("ln_final.", text.final_layer_norm.state_dict())
    layers = list(text.encoder.layers)
    for number, layer in enumerate([*layers, layers[0]] if has_more else layers):
        attention, scale = layer.self_attn, 1.0 if number < len(layers) else 2.0
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        own = {
            "attn.in_proj_weight": scale * torch.cat([part.weight for part in parts]),
            "attn.in_proj_bias": torch.cat([part.bias for part in parts]),
            **_below("attn.out_proj.", attention.out_proj.state_dict()),
            **_below("ln_1.", layer.layer_norm1.state_dict()),
            **_below("ln_2.", layer.layer_norm2.state_dict()),
            **_below("mlp.c_fc.", layer.mlp.fc1.state_dict()),
            **_below("mlp.c_proj.", layer.mlp.fc2.state_dict()),
        }
        tensors |= _below(f"transformer.resblocks.{number}.", own)
    return {key: tensor.detach() for key, tensor in tensors.items()}


def _models(name: str, kind: Kind) -> dict[str, Any]:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    is_xl, is_sd2 = kind.pipeline.startswith("StableDiffusionXL"), name.startswith("sd2")
    models: dict[str, Any] = {}
    if name != "refiner":
        # An odd number of layers where the file has one more.
        config = _text_config(64, 3 if is_sd2 else 2, "gelu" if is_sd2 else "quick_gelu")
        models["text_encoder"] = CLIPTextModel(config)
    if is_xl:
        models["text_encoder_2"] = CLIPTextModelWithProjection(_text_config(96, 2, "gelu", projection_dim=96))
    models["unet"] = UNet2DConditionModel(layers_per_block=1, **kind.unet)
    models["vae"] = AutoencoderKL(
        block_out_channels=VAE_CHANNELS,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        sample_size=8 * kind.unet["sample_size"],
        scaling_factor=kind.scaling_factor,
    )
    return models


def _text_config(hidden: int, layers: int, activation: str, **more: int) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=TOKENS,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 64),
        hidden_act=activation,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        **more,
    )


def _index(kind: Kind, models: dict[str, Any]) -> dict[str, Any]:
    index: dict[str, Any] = {
        "_class_name": kind.pipeline,
        "_diffusers_version": "0.42.1",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "scheduler": ["diffusers", kind.scheduler["_class_name"]],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if kind.pipeline.startswith("StableDiffusionXL"):
        del index["safety_checker"]
        index |= {"image_encoder": [None, None], "force_zeros_for_empty_prompt": True}
    else:
        index["requires_safety_checker"] = False
    if "text_encoder" not in models:
        index |= {"text_encoder": [None, None], "tokenizer": [None, None]}
        index |= {"force_zeros_for_empty_prompt": False, "requires_aesthetics_score": True}
    for part, model in models.items():
        if part.startswith("text_encoder"):
            index[part] = ["transformers", type(model).__name__]
            index[part.replace("text_encoder", "tokenizer")] = ["transformers", "CLIPTokenizer"]
    return index


def _layers(block: Any) -> list[tuple[Any, Any]]:
    attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)
    return list(zip(block.resnets, attentions, strict=True))


def _resnet(resnet: Any) -> Named:
    parts = {
        "in_layers.0": resnet.norm1,
        "in_layers.2": resnet.conv1,
        "emb_layers.1": resnet.time_emb_proj,
        "out_layers.0": resnet.norm2,
        "out_layers.3": resnet.conv2,
        "skip_connection": resnet.conv_shortcut,
    }
    return dict(_states(parts))


def _vae_resnet(resnet: Any) -> Named:
    names = ("norm1", "conv1", "norm2", "conv2")
    return dict(_states({name: getattr(resnet, name) for name in names} | {"nin_shortcut": resnet.conv_shortcut}))


def _states(parts: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, module in parts.items():
        if module is not None:
            yield from _below(f"{name}.", module.state_dict()).items()


def _below(prefix: str, tensors: Named) -> Named:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
