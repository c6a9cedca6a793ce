"""Finds a component's weight files and brings their tensors under the names that today's classes use."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from triptych.checkpoint.configs import read_json
from triptych.checkpoint.pickles import read_tensors
from triptych.checkpoint.safetensors import TensorInfo
from triptych.contract.hub import FOLDERS
from triptych.contract.weight_files import choose_weights, find_weights, preferred_weights
from triptych.errors import CheckpointInvalidError, invalid

# What is looked for, as an error says it; the rules are those of `choose_weights`.

_NAMES = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)
# In an error that lists what is there instead of weights.
_MOST_NAMED = 5
# diffusers before 0.17 called the matrices of an attention outside of transformer blocks so.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_ATTENTION_PATTERN = re.compile(r"(.*\.attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")
_ATTENTION_MATRIX = re.compile(r".*\.attentions\.\d+\.(to_q|to_k|to_v|to_out\.0)\.weight")


def is_text_encoder(class_name: str) -> bool:
    """Whether the class is one of CLIP's text encoders."""
    return class_name.startswith("CLIPTextModel")


def canonical_name(class_name: str, name: str) -> str:
    """A parameter's name in today's diffusers and transformers, from the one in the file."""
    if is_text_encoder(class_name):
        return name.removeprefix("text_model.")
    if class_name == "StableDiffusionSafetyChecker":
        return name.replace("vision_model.vision_model.", "vision_model.", 1)
    if match := _OLD_ATTENTION_PATTERN.fullmatch(name):
        return f"{match[1]}.{_OLD_ATTENTION[match[2]]}.{match[3]}"
    return name


def linear(name: str, info: TensorInfo) -> TensorInfo:
    """The tensor, under its canonical name; a VAE's attention that was a convolution of one pixel seen as a matrix.

    The original files had it so, and converters from before diffusers took matrices left it.
    """
    is_convolution = info.shape[2:] == (1, 1) and _ATTENTION_MATRIX.fullmatch(name)
    return info.reshaped(*info.shape[:2]) if is_convolution else info


def read_weights(
    folder: Path, class_name: str, root: Path, variant: str = "", note: Callable[[Path], Path] = lambda path: path
) -> dict[str, TensorInfo]:
    """Every tensor of a component by its canonical name; nothing is loaded. `root` is the checkpoint's directory.

    `note` is told each file before it is read, and those that are not there but would be read instead.
    """
    tensors: dict[str, TensorInfo] = {}
    for path in map(note, weight_files(folder, root, variant, note)):
        for name, info in read_tensors(path, root).items():
            name = canonical_name(class_name, name)
            if name in tensors:
                raise CheckpointInvalidError(f"{path}: tensor {name} is there twice", file=str(path))
            tensors[name] = linear(name, info)
    return tensors


def weight_files(
    folder: Path, root: Path, variant: str = "", note: Callable[[Path], Path] = lambda path: path
) -> list[Path]:
    """The files of a component that hold its weights, see `choose_weights`; those that are pickled among them."""
    names = [path.name for path in folder.iterdir()]
    chosen = choose_weights(names, variant)
    if chosen is None:
        raise _no_weights(folder, names)
    for name in preferred_weights(names, variant):
        note(folder / name)
    if chosen.files:
        return [folder / name for name in chosen.files]
    return _shards(note(folder / chosen.index), root, chosen.suffix)


def check_variant(root: Path, variant: str, folders: Iterable[Path] | None = None) -> None:
    """InvalidArgumentError, naming those that there are, unless one of the components has such files.

    `folders` are where they lie, if not below `root` by their names.
    """
    there: set[str] = set()
    for folder in folders or (root / name for name in FOLDERS):
        if variant and folder.is_dir():
            there.update(*find_weights(path.name for path in folder.iterdir()).values())
    if variant and variant not in there:
        named = ", ".join(sorted(there - {""})) or "none"
        raise invalid("variant", f"no weights in {root} are of the variant {variant!r}; there are: {named}")


def _no_weights(folder: Path, names: Collection[str]) -> CheckpointInvalidError:
    if variants := {name: each for found in find_weights(names).values() for name, each in found.items()}:
        named = ", ".join(sorted(weights.name for weights in variants.values()))
        problem = f"several variants and none by the plain name; choose one by variant=: {named}"
        return CheckpointInvalidError(f"{folder}: {problem}", file=str(folder))
    files = sorted(folder / name for name in names if name != "config.json")
    wanted = " or ".join(_NAMES)
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
