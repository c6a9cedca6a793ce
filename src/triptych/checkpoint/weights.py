"""Finds a component's weight files and brings their tensors under the names that today's classes use."""

from __future__ import annotations

import re
from pathlib import Path

from triptych.checkpoint.configs import read_json
from triptych.checkpoint.safetensors import TensorInfo, read_header
from triptych.errors import CheckpointInvalidError

_BASES = ("diffusion_pytorch_model", "model")
# diffusers before 0.17 called the matrices of an attention outside of transformer blocks so.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_ATTENTION_PATTERN = re.compile(r"(.*\.attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")


def canonical_name(class_name: str, name: str) -> str:
    """A parameter's name in today's diffusers and transformers, from the one in the file."""
    if class_name == "CLIPTextModel":
        return name.removeprefix("text_model.")
    if match := _OLD_ATTENTION_PATTERN.fullmatch(name):
        return f"{match[1]}.{_OLD_ATTENTION[match[2]]}.{match[3]}"
    return name


def read_weights(folder: Path, class_name: str) -> dict[str, TensorInfo]:
    """Every tensor of a component by its canonical name; nothing is loaded."""
    tensors: dict[str, TensorInfo] = {}
    for path in weight_files(folder):
        for name, info in read_header(path).items():
            name = canonical_name(class_name, name)
            if name in tensors:
                raise CheckpointInvalidError(f"{path}: tensor {name} is there twice", file=str(path))
            tensors[name] = info
    return tensors


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a component: whole, sharded, or the fp16 variant where nothing else is there."""
    for base in _BASES:
        for variant in ("", ".fp16"):
            whole = folder / f"{base}{variant}.safetensors"
            if whole.is_file():
                return [whole]
            index = folder / f"{base}.safetensors.index{variant}.json"
            if index.is_file():
                return _shards(index)
    pickles = [path.name for suffix in ("bin", "ckpt", "pt", "pth") for path in sorted(folder.glob(f"*.{suffix}"))]
    if pickles:
        raise CheckpointInvalidError(
            f"{folder / pickles[0]}: only pickled weights are there, which can run code when loaded; convert them with "
            "diffusers' save_pretrained(..., safe_serialization=True)",
            file=str(folder / pickles[0]),
        )
    missing = folder / f"{_BASES[0]}.safetensors"
    raise CheckpointInvalidError(f"{folder}: no safetensors weights ({' or '.join(_BASES)})", file=str(missing))


def _shards(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointInvalidError(f"{index}: weight_map is missing or no map of file names", file=str(index))
    names = sorted(set(weight_map.values()))
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointInvalidError(f"{index}: {name!r} is no plain safetensors file name", file=str(index))
        if not (index.parent / name).is_file():
            raise CheckpointInvalidError(f"{index.parent / name}: the shard is missing", file=str(index.parent / name))
    return [index.parent / name for name in names]
