"""A checkpoint as it was saved years ago."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from tests.tiny import update


def save_outdated_checkpoint(folder: Path, whole: Path) -> Path:
    """The checkpoint `whole` as one from years ago may lie there: diffusers corrects it in every place it can.

    Two textual inversions are saved with it, of three vectors and of one: `<fox>` and `<ink>`.
    """
    shutil.copytree(whole, folder)
    scheduler = {"_class_name": "PNDMScheduler", "steps_offset": 0, "clip_sample": True, "set_alpha_to_one": None}
    update(folder / "scheduler" / "scheduler_config.json", **scheduler, variance_type="fixed_small")
    index = {"_class_name": "StableDiffusionImg2ImgPipeline", "scheduler": ["diffusers", "DDIMScheduler"]}
    update(folder / "model_index.json", **index)
    update(folder / "unet" / "config.json", _diffusers_version="0.8.0", use_linear_projection=None)
    update(folder / "vae" / "config.json", shift_factor=3.0)
    _rename_old_attention(folder / "vae" / "diffusion_pytorch_model.safetensors")

    config = folder / "text_encoder" / "config.json"
    config.write_text(json.dumps({"model_type": "clip", "text_config": json.loads(config.read_text())}))
    # In the place of bytes that no prompt has, so that the text encoder stays as it is.
    words = dict(zip(("Ā", "ā", "Ă", "ă"), ("<fox>", "<fox>_1", "<fox>_2", "<ink>"), strict=True))
    file = folder / "tokenizer" / "vocab.json"
    vocabulary = {words.get(symbol, symbol): number for symbol, number in json.loads(file.read_text()).items()}
    file.write_text(json.dumps(vocabulary))
    added = {word: vocabulary[word] for word in words.values()}
    (folder / "tokenizer" / "added_tokens.json").write_text(json.dumps(added))
    return folder


def _rename_old_attention(file: Path) -> None:

    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}

    def renamed(name: str) -> str:
        for new, former in old.items():
            name = name.replace(new, former)
        return name

    save_file({renamed(name): tensor for name, tensor in load_file(file).items()}, file, {"format": "pt"})
