"""Write the trained networks as a Stable Diffusion checkpoint with fp16 weights, as ``diffusers`` reads it.

Usage::

    StableDiffusionPipeline.from_pretrained("src/triptych/demo/checkpoint")
"""

import json
import shutil
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL

from triptych_training.models import make_scheduler
from triptych_training.tokenizer import write_tokenizer
from triptych_training.trainers.unet import load_averaged

BYTES_LIMIT: Final = 20_000_000

MODEL_INDEX: Final = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.30.0",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def export_checkpoint(work_dir: Path, folder: Path) -> int:
    """Write the checkpoint in ``work_dir`` to ``folder`` and return its size in bytes."""
    networks = load_averaged(work_dir)
    vae = AutoencoderKL.from_pretrained(work_dir / "vae")
    parts = {"unet": networks["unet"], "text_encoder": networks["text_encoder"], "vae": vae}
    for name, network in parts.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        network.to(torch.float16).save_pretrained(folder / name, safe_serialization=True)
        drop_private_settings(folder / name / "config.json")
    make_scheduler().save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")
    (folder / "model_index.json").write_text(json.dumps(MODEL_INDEX, indent=2) + "\n", encoding="utf-8")
    files = [file for file in folder.rglob("*") if file.is_file()]
    for file in files:
        file.chmod(0o644)  # safetensors writes for its own user alone, but servers run as another
    size_bytes = sum(file.stat().st_size for file in files)
    if size_bytes > BYTES_LIMIT:
        raise ValueError(f"the checkpoint holds {size_bytes} bytes, but may hold {BYTES_LIMIT}")
    return size_bytes


def drop_private_settings(path: Path) -> None:
    """Remove what names the machine the weights were trained on."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
