"""Finds a component's weight files and brings their tensors under the names that today's classes use."""

from __future__ import annotations

import re
from pathlib import Path

from triptych.checkpoint.configs import read_json
from triptych.checkpoint.pickles import read_tensors
from triptych.checkpoint.safetensors import TensorInfo
from triptych.errors import CheckpointInvalidError

_SAFETENSORS, _PICKLED = ".safetensors", ".bin"
# Safetensors of any name come before pickled files.
_NAMES = (
    ("diffusion_pytorch_model", _SAFETENSORS),
    ("model", _SAFETENSORS),
    ("diffusion_pytorch_model", _PICKLED),
    ("pytorch_model", _PICKLED),
)
# In an error that lists what is there instead of weights.
_MOST_NAMED = 5
# diffusers before 0.17 called the matrices of an attention outside of transformer blocks so.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_ATTENTION_PATTERN = re.compile(r"(.*\.attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")


def is_text_encoder(class_name: str) -> bool:
    """Whether the class is one of CLIP's text encoders."""
    return class_name.startswith("CLIPTextModel")


def canonical_name(class_name: str, name: str) -> str:
    """A parameter's name in today's diffusers and transformers, from the one in the file."""
    if is_text_encoder(class_name):
        return name.removeprefix("text_model.")
    if match := _OLD_ATTENTION_PATTERN.fullmatch(name):
        return f"{match[1]}.{_OLD_ATTENTION[match[2]]}.{match[3]}"
    return name


def read_weights(folder: Path, class_name: str, root: Path) -> dict[str, TensorInfo]:
    """Every tensor of a component by its canonical name; nothing is loaded. `root` is the checkpoint's directory."""
    tensors: dict[str, TensorInfo] = {}
    for path in weight_files(folder, root):
        for name, info in read_tensors(path, root).items():
            name = canonical_name(class_name, name)
            if name in tensors:
                raise CheckpointInvalidError(f"{path}: tensor {name} is there twice", file=str(path))
            tensors[name] = info
    return tensors


def weight_files(folder: Path, root: Path) -> list[Path]:
    """The weights files of a component, whole or in shards; where all are of a variant, the fp16 or only one's."""
    for base, suffix in _NAMES:
        variants = _variants(folder, base, suffix)
        for variant in ("", "fp16", *(variants if len(variants) == 1 else ())):
            if variant in variants:
                path = variants[variant]
                return [path] if path.suffix == suffix else _shards(path, root, suffix)
        if variants:
            names = ", ".join(sorted(path.name for path in variants.values()))
            problem = f"several variants and none by the plain name; link the one to serve as {base}{suffix}: {names}"
            raise CheckpointInvalidError(f"{folder}: {problem}", file=str(folder))
    raise _no_weights(folder)


def _variants(folder: Path, base: str, suffix: str) -> dict[str, Path]:
    """By variant, "" for none: the whole file, or else the index of the shards."""
    found: dict[str, Path] = {}
    for pattern in (rf"{base}\{suffix}\.index(?:\.(\w+))?\.json", rf"{base}(?:\.(\w+))?\{suffix}"):
        for path in sorted(folder.iterdir()):
            if match := re.fullmatch(pattern, path.name):
                found[match[1] or ""] = path
    return found


def _no_weights(folder: Path) -> CheckpointInvalidError:
    files = sorted(path for path in folder.iterdir() if path.name != "config.json")
    wanted = " or ".join(f"{base}{suffix}" for base, suffix in _NAMES)
    there = ", ".join(path.name[:100] for path in files[:_MOST_NAMED]) or "nothing"
    return CheckpointInvalidError(
        f"{folder}: no weights: looked for {wanted}, found {there}", file=str(folder / wanted.split()[0])
    )


def _shards(index: Path, root: Path, suffix: str) -> list[Path]:
    weight_map = read_json(index, root).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointInvalidError(f"{index}: weight_map is missing or no map of file names", file=str(index))
    names = sorted(set(weight_map.values()))
    for name in names:
        if Path(name).name != name or not name.endswith(suffix):
            raise CheckpointInvalidError(f"{index}: {name[:100]!r} is no plain {suffix} file name", file=str(index))
        if not (index.parent / name).is_file():
            raise CheckpointInvalidError(f"{index.parent / name}: the shard is missing", file=str(index.parent / name))
    return [index.parent / name for name in names]
