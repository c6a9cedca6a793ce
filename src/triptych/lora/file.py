"""A LoRA file: the modules it changes, read from its header alone and checked against themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from triptych.checkpoint.safetensors import TensorInfo, read_header
from triptych.lora.adapters import AdapterConfig, alpha_for, read_adapters
from triptych.lora.failures import as_lora_errors, refused, shown
from triptych.lora.kinds import diagnose, refuse_dora, refuse_pickled
from triptych.lora.names import Part, read_name

_FORMATS = ("kohya", "diffusers", "peft")
_FLOATS = frozenset({"F16", "BF16", "F32"})
_MATRIX, _CONVOLUTION = 2, 4


@dataclass(frozen=True)
class LoraModule:
    """One changed matrix or convolution, under its name in the file.

    down: [rank, in] or [rank, in, height, width]; up: [out, rank] or [out, rank, 1, 1]; mid, of convolutions in Tucker
    form: [rank, rank, height, width]. The change is alpha / rank * up @ mid @ down; alpha None stands for rank.
    """

    key: str
    down: TensorInfo
    up: TensorInfo
    mid: TensorInfo | None
    alpha: TensorInfo | float | None

    @property
    def rank(self) -> int:
        """Columns of `up`, which are the rows of `down`."""
        return self.down.shape[0]


@dataclass(frozen=True)
class LoraFile:
    """All modules of a file; `format` is "kohya", "diffusers" or "peft", `unknown` names what is in no module."""

    path: Path
    format: str
    modules: tuple[LoraModule, ...]
    unknown: tuple[str, ...]

    @property
    def rank(self) -> int:
        """The largest of its modules."""
        return max(module.rank for module in self.modules)

    @classmethod
    def open(cls, path: Path) -> LoraFile:
        """Reads the header; LoraInvalidError names the file and the remedy."""
        refuse_pickled(path)
        with as_lora_errors():
            tensors = read_header(path)
            refuse_dora(path, tensors)
            groups, unknown, formats = _grouped(path, tensors)
            if not groups:
                raise refused(path, diagnose(tensors))
            file_format = min(formats, key=_FORMATS.index)
            adapters = read_adapters(path, file_format)
        modules = tuple(_module(path, key, parts, adapters) for key, parts in groups.items())
        return cls(path, file_format, modules, unknown)


_Group = dict[Part, TensorInfo]


def _grouped(path: Path, tensors: Mapping[str, TensorInfo]) -> tuple[dict[str, _Group], tuple[str, ...], set[str]]:
    """Tensors by module and part, the names of all others, and the formats seen."""
    groups: dict[str, _Group] = {}
    names: dict[str, list[str]] = {}
    unknown, formats = [], set()
    for name, info in tensors.items():
        read = read_name(name)
        if read is None:
            unknown.append(name)
            continue
        if read.part in groups.setdefault(read.key, {}):
            raise refused(path, f"{shown(read.key)}: its {read.part} is there twice (two adapters in one file?)")
        groups[read.key][read.part] = info
        names.setdefault(read.key, []).append(name)
        formats.add(read.format)
    # An alpha alone belongs to a module of another kind.
    for key in [key for key, parts in groups.items() if parts.keys() == {"alpha"}]:
        del groups[key]
        unknown += names[key]
    return groups, tuple(sorted(unknown)), formats - {""}


def _module(path: Path, key: str, parts: _Group, adapters: Mapping[str, AdapterConfig]) -> LoraModule:
    for part in ("down", "up"):
        if part not in parts:
            raise refused(path, f"{shown(key)}: its {part} is missing; is the file complete?")
    module = LoraModule(key, parts["down"], parts["up"], parts.get("mid"), parts.get("alpha"))
    if problem := _problem(module):
        raise refused(path, f"{shown(key)}: {problem}")
    if module.alpha is None:
        return LoraModule(key, module.down, module.up, module.mid, alpha_for(adapters, key, module.rank))
    return module


def _problem(module: LoraModule) -> str | None:
    """What is wrong with a module's own tensors, or None."""
    factors = [info for info in (module.down, module.up, module.mid) if info is not None]
    for info in factors:
        if info.dtype not in _FLOATS:
            return f"dtype {info.dtype} is not one of {', '.join(sorted(_FLOATS))}"
        if len(info.shape) not in (_MATRIX, _CONVOLUTION) or 0 in info.shape:
            return f"shape {info.shape} is neither a matrix' nor a convolution's"
    down, up = module.down.shape, module.up.shape
    if up[1] != down[0]:
        return f"down {down} and up {up} are of different rank"
    if math.prod(up[2:]) != 1:
        return f"up {up} is a convolution larger than 1x1"
    if module.mid is not None and (module.mid.shape[:2] != (down[0], down[0]) or math.prod(down[2:]) != 1):
        return f"mid {module.mid.shape} does not fit between down {down} and up {up}"
    if isinstance(module.alpha, TensorInfo) and (module.alpha.dtype == "BOOL" or math.prod(module.alpha.shape) != 1):
        return f"alpha must be one number, not {module.alpha.dtype} {module.alpha.shape}"
    return None
