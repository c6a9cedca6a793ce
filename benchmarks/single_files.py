"""Single files as the community spreads them, made of a checkpoint's own tensors.

file = ensure_single_file(folder / "sdxl", "sdxl", ".safetensors")

`python -m benchmarks.single_files CHECKPOINT SIZE FILE` does the same in a process of its own, for a `.ckpt` with what
trainers leave beside the weights: objects of classes that nobody has who reads the file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.single_files import KINDS, Named, original
from triptych.measuring.checkpoints import SIZES, save_models

# The kind that a checkpoint of each size is of; in the tiny ones norms have other groups than any such file's.
_KINDS = {"sd15": "sd1", "sd15-fp16": "sd1", "sd21": "sd2", "sdxl": "sdxl"}
_TYPES = {"float32": "F32", "float16": "F16"}


def ensure_single_file(checkpoint: Path, size: str, suffix: str) -> Path:
    """The file beside the checkpoint, made if it is not there."""
    file = checkpoint.with_name(f"{checkpoint.name}-file{suffix}")
    if not file.exists():
        # All tensors of it are in memory at once; what was freed does not all go back.
        command = [sys.executable, "-m", "benchmarks.single_files", str(checkpoint), size, str(file)]
        subprocess.run(command, check=True)
    return file


def ensure_headers(folder: Path, size: str) -> Path:
    """A safetensors file of that size whose header is a real one's; its numbers are a hole, and take no room."""
    import torch

    file = folder / f"{size}-headers.safetensors"
    models: dict[str, Any] = {}

    def keep(model: Any, place: Path) -> None:
        models[place.name] = model

    if not file.exists():
        with torch.device("meta"):
            save_models(folder, SIZES[size], keep)
        tensors = original(models, KINDS[_KINDS[size]])
        with file.open("wb") as content:
            content.write(_header(tensors))
            content.truncate(content.tell() + sum(map(_size_bytes, tensors.values())))
    return file


def _write(checkpoint: Path, size: str, file: Path) -> None:
    tensors = original(_models(checkpoint, SIZES[size].dtype), KINDS[_KINDS[size]])
    building = file.with_name(f"{file.name}.building")
    if file.suffix == ".safetensors":
        _write_safetensors(building, tensors)
    else:
        _write_pickle(building, tensors)
    building.rename(file)


def _models(checkpoint: Path, dtype: str) -> dict[str, Any]:
    import diffusers
    import torch
    import transformers

    libraries = {"diffusers": diffusers, "transformers": transformers}
    index = json.loads((checkpoint / "model_index.json").read_text())
    classes = {part: index[part] for part in ("text_encoder", "text_encoder_2", "unet", "vae") if part in index}
    return {
        part: getattr(libraries[library], name).from_pretrained(checkpoint / part, dtype=getattr(torch, dtype))
        for part, (library, name) in classes.items()
    }


def _write_safetensors(file: Path, tensors: Named) -> None:
    """One tensor after the other: safetensors' own writer makes a second copy of all of them first."""
    with file.open("wb") as content:
        content.write(_header(tensors))
        for tensor in tensors.values():
            content.write(tensor.detach().contiguous().numpy().tobytes())


def _header(tensors: Named) -> bytes:
    entries, end = {}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + _size_bytes(tensor)
        kind = _TYPES.get(str(tensor.dtype).removeprefix("torch."), "I64")
        entries[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _size_bytes(tensor: Any) -> int:
    return int(tensor.numel() * tensor.element_size())


def _write_pickle(file: Path, tensors: Named) -> None:
    """As a trainer of Lightning's day saved it: callbacks under their classes, an optimizer, numpy's scalars."""
    import numpy as np
    import torch

    callback = _foreign_class("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
    settings = _foreign_class("omegaconf.dictconfig", "DictConfig")
    junk: Mapping[str, Any] = {
        "epoch": 3,
        "global_step": 470_000,
        "pytorch-lightning_version": "1.4.2",
        "callbacks": {callback: {"best_model_score": torch.ones(()), "monitor": "val/loss", "last": callback()}},
        "hyper_parameters": settings(),
        "lr_schedulers": [{"_last_lr": [np.float64(1e-5)], "lr_lambdas": [None, {}], "at": np.arange(5)}],
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(8), "step": 7}}, "param_groups": [{"lr": 1e-5}]}],
        "rng": np.random.get_state(),
    }
    torch.save({**junk, "state_dict": {name: tensor.detach() for name, tensor in tensors.items()}}, file)


def _foreign_class(module: str, name: str) -> Any:
    """A class that can be pickled here, and of which nobody else has the module."""

    def remember(self: Any) -> None:
        self.best_model_path = Path("/runs/best.ckpt")

    made = type(name, (), {"__module__": module, "__init__": remember})
    for stem in (module.rsplit(".", depth)[0] for depth in range(module.count(".") + 1)):
        sys.modules.setdefault(stem, types.ModuleType(stem))
    setattr(sys.modules[module], name, made)
    return made


if __name__ == "__main__":
    _write(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
