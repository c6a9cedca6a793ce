"""Tiny, randomly initialised checkpoints of the real architectures, saved by diffusers itself."""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

WORDS = ["a", "red", "green", "blue", "circle", "square", "star", "on", "white", "background", "large", "small"]

SD1_SCHEDULER: dict[str, Any] = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
SD2_SCHEDULER: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "set_alpha_to_one": False,
    "steps_offset": 1,
}

SDXL_SCHEDULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "use_karras_sigmas": False,
}


def save_tokenizer(folder: Path, pad_token: str = "<|endoftext|>") -> int:
    """A CLIP vocabulary of bytes and a few words; returns its size."""
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = sorted(ByteLevel.alphabet())
    vocabulary = {symbol: i for i, symbol in enumerate([*alphabet, *(symbol + "</w>" for symbol in alphabet)])}
    merges: list[str] = []
    for word in WORDS:
        symbols = [*word[:-1], word[-1] + "</w>"]
        while len(symbols) > 1:
            merge = f"{symbols[0]} {symbols[1]}"
            if merge not in merges:
                merges.append(merge)
            symbols[:2] = [symbols[0] + symbols[1]]
            vocabulary.setdefault(symbols[0], len(vocabulary))
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[token] = len(vocabulary)
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": pad_token,
        "unk_token": "<|endoftext|>",
    }
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    tokenizer = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return len(vocabulary)


def save_checkpoint(folder: Path, family: str = "sd1", seed: int = 0) -> Path:
    """A StableDiffusionPipeline directory: "sd1" (epsilon, 1x1-conv projections) or "sd2" (v-prediction, linear)."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    sd2 = family == "sd2"
    size = save_tokenizer(folder / "tokenizer", "!" if sd2 else "<|endoftext|>")
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=size,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            hidden_act="gelu" if sd2 else "quick_gelu",
            bos_token_id=size - 2,
            eos_token_id=size - 1,
            pad_token_id=0 if sd2 else size - 1,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=32,
        norm_num_groups=4,
        attention_head_dim=[2, 4] if sd2 else 4,
        use_linear_projection=sd2,
        upcast_attention=sd2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    )
    for name, model in (("text_encoder", text), ("unet", unet), ("vae", vae)):
        model.save_pretrained(folder / name)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SD2_SCHEDULER if sd2 else SD1_SCHEDULER))
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", (SD2_SCHEDULER if sd2 else SD1_SCHEDULER)["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return folder


def add_safety_checker(folder: Path, seed: int = 0, **thresholds: float) -> Path:
    """Gives a checkpoint a safety checker of four layers, and the extractor that goes with it.

    Its weights are large enough for pictures to be unlike. It finds nothing, but for the thresholds of concepts, as
    `concept_3=0.2`, and of special ones, as `special_0=0.1`.
    """
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessorPil

    torch.manual_seed(seed)
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(vision_config=vision | {"patch_size": 32}, text_config=text, projection_dim=24)
    )
    for name, parameter in checker.named_parameters():
        if parameter.ndim > 1:
            parameter.data = torch.randn(parameter.shape) * (1.0 if "embeds" in name else 0.3)
    for concept, threshold in thresholds.items():
        kind, number = concept.split("_")
        weights = checker.concept_embeds_weights if kind == "concept" else checker.special_care_embeds_weights
        weights.data[int(number)] = threshold
    checker.save_pretrained(folder / "safety_checker")
    CLIPImageProcessorPil().save_pretrained(folder / "feature_extractor")
    parts = {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
    }
    update(folder / "model_index.json", **parts, requires_safety_checker=True)
    return folder


def save_sdxl_checkpoint(folder: Path, seed: int = 0, *, force_zeros_for_empty_prompt: bool = True) -> Path:
    """A StableDiffusionXLPipeline directory: encoders 32 and 48 wide, a pooled vector of 24 numbers, three blocks."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    torch.manual_seed(seed)
    size = save_tokenizer(folder / "tokenizer")
    save_tokenizer(folder / "tokenizer_2", "!")
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        cross_attention_dim=32 + 48,
        norm_num_groups=4,
        attention_head_dim=[1, 2, 4],
        transformer_layers_per_block=[1, 1, 2],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24 + 6 * 8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )
    _tell_more(unet)
    pipeline = StableDiffusionXLPipeline(
        vae=_sdxl_vae(),
        text_encoder=CLIPTextModel(_sdxl_text_config(size, 32, 3, hidden_act="quick_gelu")),
        text_encoder_2=CLIPTextModelWithProjection(_sdxl_text_config(size, 48, 4, hidden_act="gelu")),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        tokenizer_2=CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
        unet=unet,
        scheduler=EulerDiscreteScheduler.from_config(SDXL_SCHEDULER),
        force_zeros_for_empty_prompt=force_zeros_for_empty_prompt,
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def save_refiner_checkpoint(folder: Path, seed: int = 1) -> Path:
    """A StableDiffusionXLImg2ImgPipeline directory of a refiner: an encoder 40 wide, four blocks, five time ids."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLImg2ImgPipeline, UNet2DConditionModel
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

    torch.manual_seed(seed)
    size = save_tokenizer(folder / "tokenizer_2", "!")
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 12, 16, 16),
        layers_per_block=1,
        cross_attention_dim=40,
        norm_num_groups=4,
        attention_head_dim=[1, 2, 4, 4],
        transformer_layers_per_block=[1, 2, 1, 1],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=6,
        projection_class_embeddings_input_dim=24 + 5 * 6,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )
    _tell_more(unet)
    pipeline = StableDiffusionXLImg2ImgPipeline(
        vae=_sdxl_vae(),
        text_encoder=None,
        text_encoder_2=CLIPTextModelWithProjection(_sdxl_text_config(size, 40, 3, hidden_act="gelu")),
        tokenizer=None,
        tokenizer_2=CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
        unet=unet,
        scheduler=EulerDiscreteScheduler.from_config(SDXL_SCHEDULER),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def save_editing_checkpoint(folder: Path, whole: Path, class_name: str, in_channels: int) -> Path:
    """The checkpoint `whole` for a pipeline that edits pictures, its UNet's first convolution as wide as that asks."""
    from diffusers import UNet2DConditionModel

    shutil.copytree(whole, folder)
    torch.manual_seed(5)
    config = UNet2DConditionModel.load_config(folder / "unet")
    UNet2DConditionModel.from_config({**config, "in_channels": in_channels}).save_pretrained(folder / "unet")
    update(folder / "model_index.json", _class_name=class_name)
    return folder


def save_vae(folder: Path, seed: int = 9, **config: Any) -> Path:
    """An AutoencoderKL alone, its latents scaled otherwise than those of any checkpoint here."""
    from diffusers import AutoencoderKL

    torch.manual_seed(seed)
    AutoencoderKL(
        **{
            "block_out_channels": (8, 8, 16, 16),
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "layers_per_block": 1,
            "latent_channels": 4,
            "norm_num_groups": 4,
            "scaling_factor": 0.31,
            **config,
        }
    ).save_pretrained(folder)
    return folder


def save_controlnet(folder: Path, checkpoint: Path, seed: int = 11, **config: Any) -> Path:
    """A ControlNetModel for the checkpoint's UNet, as diffusers makes one of it, but for what would add nothing yet."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(checkpoint / "unet")
    net = ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=(4, 8, 8, 12), load_weights_from_unet=False
    )
    net.register_to_config(**config)
    make_tell(net)
    net.save_pretrained(folder)
    return folder


def make_tell(net: Any) -> None:
    """Gives numbers to what adds nothing in a ControlNet that is yet to be trained."""
    for layer in [*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out]:
        torch.nn.init.normal_(layer.weight, std=0.3)
        torch.nn.init.normal_(layer.bias, std=0.1)


def save_union_controlnet(folder: Path, checkpoint: Path, seed: int = 21, types: int = 8, **config: Any) -> Path:
    """A ControlNetUnionModel for the checkpoint's UNet, in which every part of it tells, as diffusers saves one."""
    from diffusers import ControlNetUnionModel

    torch.manual_seed(seed)
    unet = json.loads((checkpoint / "unet" / "config.json").read_text())
    known = inspect.signature(ControlNetUnionModel).parameters
    hidden = unet["block_out_channels"][0]
    net = ControlNetUnionModel(
        **{key: value for key, value in unet.items() if key in known},
        conditioning_embedding_out_channels=(4, 8, 8, 12),
        num_control_type=types,
        num_trans_channel=hidden,
        num_trans_head=2,
        num_proj_channel=hidden,
    )
    net.register_to_config(**config)
    for layer in [*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out]:
        torch.nn.init.normal_(layer.weight, std=0.3)
        torch.nn.init.normal_(layer.bias, std=0.1)
    torch.nn.init.normal_(net.spatial_ch_projs.weight, std=0.5)
    net.save_pretrained(folder)
    return folder


def save_t2i_adapter(folder: Path, seed: int = 31, **config: Any) -> Path:
    """A T2IAdapter whose features tell, for the UNet of `save_sdxl_checkpoint` unless the configuration is another."""
    from diffusers import T2IAdapter

    torch.manual_seed(seed)
    xl = {"channels": [8, 16, 16, 16], "num_res_blocks": 1, "downscale_factor": 16, "adapter_type": "full_adapter_xl"}
    adapter = T2IAdapter(**xl | config)
    for parameter in adapter.parameters():
        parameter.data *= 2
    adapter.save_pretrained(folder)
    return folder


def _tell_more(unet: Any) -> None:
    """Else sizes, scores and pooled vectors would hardly show in the pictures."""
    with torch.no_grad():
        for layer in (unet.add_embedding.linear_1, unet.add_embedding.linear_2):
            layer.weight *= 4


def _sdxl_vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=0.13025,
    )


def replace_weights(path: Path) -> None:
    """Puts a file of the same layout with other numbers in its place, by a rename."""
    other = path.with_name("other.safetensors")
    save_file({name: 3 * tensor for name, tensor in load_file(path).items()}, other)
    other.replace(path)


def _sdxl_text_config(vocab_size: int, hidden_size: int, layers: int, hidden_act: str) -> Any:
    """As Stable Diffusion XL's own: the end token has the largest id, which `eos_token_id` 2 means."""
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        projection_dim=24,
        hidden_act=hidden_act,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )


def update(file: Path, **values: Any) -> None:
    """Writes keys of a JSON object anew."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
