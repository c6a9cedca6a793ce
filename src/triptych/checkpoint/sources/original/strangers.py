"""What a safetensors file is that holds no checkpoint in the original's layout, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Collection

_OTHER = "which is not supported; supported are Stable Diffusion 1.x, 2.x and XL"
_ALONE = "and no checkpoint; take the file that holds UNet, text encoder and VAE together"
# By what stands in a name of such a file, the first that is in any.
_KINDS = {
    r"lora_(up|down|A|B|mid)\b|hada_w\d|lokr_w\d|oft_(blocks|diag)|dora_scale": "a LoRA: triptych loras add NAME FILE",
    r"\blllite_": "a ControlNet-LLLite, which is not supported; take a whole ControlNet",
    r"^(control_model|controlnet_\w+|input_hint_block|control_\w+)\.": (
        "a ControlNet of another kind; supported are those for Stable Diffusion 1.x, 2.x and XL"
    ),
    r"^(style_embedding$|transformer_layes\.)": "a T2I style adapter or a fuser of adapters, which is not supported",
    r"^(adapter|body)\.\d+\.": "a T2I-Adapter of another kind; supported are full and light ones, and those for XL",
    r"^(image_proj|ip_adapter)\.": "a part of an IP-Adapter, and not whole: it has image_proj and ip_adapter both",
    r"motion_modules?\.": f"an AnimateDiff motion module, {_OTHER}",
    r"^(emb_params|string_to_param|clip_[lg]$)": "a textual inversion, which is not supported",
    r"\b(double_blocks|single_blocks)\.": f"Flux or a kin of it, {_OTHER}",
    r"\bjoint_blocks\.": f"Stable Diffusion 3, {_OTHER}",
    r"\bclip_txt_(pooled_)?mapper\.": f"Stable Cascade, {_OTHER}",
    r"\b(double_layers|double_stream_blocks|cap_embedder|caption_projection|patchify_proj|txt_in)\.": (
        f"a diffusion transformer, {_OTHER}"
    ),
    r"^(first_stage_model\.)?(encoder|decoder)\.(conv_in|down|up|mid)": f"a VAE alone {_ALONE}",
    r"^(input_blocks|output_blocks|middle_block)\.": f"a UNet alone {_ALONE}",
    r"^(down_blocks|up_blocks|mid_block)\.": f"a UNet alone, in diffusers' layout, {_ALONE}",
    r"^(text_model|encoder\.layers|transformer\.resblocks|vision_model|visual)\.": (
        f"a text or picture encoder alone {_ALONE}"
    ),
}
_SHOWN = 3
_LONGEST_NAME = 100


def stranger(names: Collection[str]) -> str:
    """From the names of the file's tensors."""
    for pattern, what in _KINDS.items():
        if any(re.search(pattern, name[:_LONGEST_NAME]) for name in names):
            return f"it is {what}"
    shown = ", ".join(name[:_LONGEST_NAME] for name in sorted(names)[:_SHOWN]) or "none"
    return f"it holds no checkpoint: no tensor is called model.diffusion_model.input_blocks...; there are {shown}"
