"""An adapter's file: the modules it is made of, read from its header alone and checked against themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from triptych.checkpoint.safetensors import TensorInfo, read_contents
from triptych.lora.adapters import AdapterConfig, config_for, read_adapters
from triptych.lora.algorithms import ALGORITHMS, MAGNITUDES, SAVED, Algorithm, Options, Role, Shapes
from triptych.lora.failures import as_lora_errors, refused, shown
from triptych.lora.kinds import diagnose, refuse_learned_words, refuse_pickled
from triptych.lora.names import layer_name, read_name
from triptych.lora.training import training_options

_FORMATS = ("kohya", "diffusers", "peft")
_FLOATS = frozenset({"F8_E4M3", "F8_E5M2", "F16", "BF16", "F32"})
# One number each, of any type.
_NUMBERS = frozenset({"alpha", "on_input"})
_MOST_DIMENSIONS = 4
# Layers' names come to about 120; each is read in many ways.
_LONGEST_NAME = 512


@dataclass(frozen=True)
class LoraModule:
    """What one algorithm does to one layer, under the layer's name in the file; `alpha` None stands for the rank."""

    key: str
    algorithm: Algorithm
    tensors: Mapping[str, TensorInfo]
    alpha: TensorInfo | float | None = None
    options: Options = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file's."""
        return next(iter(self.tensors.values())).path

    @property
    def shapes(self) -> Shapes:
        """Of the tensors, by part."""
        return {part: info.shape for part, info in self.tensors.items()}

    @property
    def roles(self) -> tuple[Role, ...]:
        """The parameters of its layer that it changes."""
        return self.algorithm.roles(self.shapes, self.options)

    @property
    def rank(self) -> int:
        """Of its products, or the size of its blocks; 0 if it has none."""
        return self.algorithm.rank(self.shapes)

    @property
    def magnitudes(self) -> str | None:
        """The part that makes it a DoRA."""
        return next((part for part in self.tensors if part in MAGNITUDES), None)

    @property
    def kind(self) -> str:
        """The algorithm's name."""
        kind = self.algorithm.kind(self.shapes)
        return f"{kind} with DoRA" if self.magnitudes else kind


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

    @property
    def kinds(self) -> tuple[str, ...]:
        """The algorithms that it is made with, in alphabetical order."""
        return tuple(sorted({module.kind for module in self.modules}))

    @classmethod
    def open(cls, path: Path) -> LoraFile:
        """Reads the header; LoraInvalidError names the file and the remedy."""
        refuse_pickled(path)
        with as_lora_errors():
            tensors, metadata = read_contents(path)
            groups, unknown, formats = _grouped(path, tensors)
            split = {key: tuple(_split(parts)) for key, parts in groups.items()}
            if all(algorithm is SAVED for modules in split.values() for algorithm, _ in modules):
                raise refused(path, diagnose(tensors))
            refuse_learned_words(path, unknown)
            file_format = min(formats, key=_FORMATS.index)
            adapters = read_adapters(path, file_format, metadata)
        trained = training_options(metadata)
        modules = tuple(
            _module(path, key, algorithm, parts, adapters, trained)
            for key, each in split.items()
            for algorithm, parts in each
        )
        placed = {info for module in modules for info in module.tensors.values()}
        placed |= {module.alpha for module in modules if isinstance(module.alpha, TensorInfo)}
        left_over = [name for name, info in tensors.items() if info not in placed]
        return cls(path, file_format, modules, tuple(sorted(left_over)))


_Group = dict[str, TensorInfo]


def _grouped(path: Path, tensors: Mapping[str, TensorInfo]) -> tuple[dict[str, _Group], tuple[str, ...], set[str]]:
    """Tensors by layer and part, the names of all others, and the formats seen."""
    groups: dict[str, _Group] = {}
    unknown, formats = [], set()
    for name, info in tensors.items():
        if len(name) > _LONGEST_NAME:
            raise refused(path, f"{shown(name)}: a name of {len(name)} characters, more than {_LONGEST_NAME}")
        read = read_name(name)
        if read is None:
            unknown.append(name)
            continue
        group = groups.setdefault(layer_name(read.key), {})
        if read.part in group:
            raise refused(path, f"{shown(read.key)}: its {read.part} is there twice (two adapters in one file?)")
        group[read.part] = info
        formats.add(read.format)
    return groups, tuple(unknown), (formats - {""}) or {"peft"}


def _split(parts: _Group) -> Iterator[tuple[Algorithm, _Group]]:
    """A layer's tensors by algorithm; an alpha or magnitude alone belongs to none."""
    left = dict(parts)
    for algorithm in ALGORITHMS:
        if algorithm.marks & left.keys():
            yield algorithm, {part: left.pop(part) for part in list(left) if part in algorithm.parts}


def _module(
    path: Path,
    key: str,
    algorithm: Algorithm,
    parts: _Group,
    adapters: Mapping[str, AdapterConfig],
    trained: Options,
) -> LoraModule:
    config, name = config_for(adapters, key)
    options = config.module_options(name) if config else trained
    alpha = parts.pop("alpha", None)
    module = LoraModule(key, algorithm, parts, alpha, options)
    if problem := _problem(module, alpha):
        raise refused(path, f"{shown(key)}: {problem}")
    if alpha is None and config is not None:
        return LoraModule(key, algorithm, parts, config.alpha(name, module.rank), options)
    return module


def _problem(module: LoraModule, alpha: TensorInfo | None) -> str | None:
    """What is wrong with a module's own tensors, or None."""
    for part, info in module.tensors.items():
        if info.dtype not in _FLOATS and (part not in _NUMBERS or not info.is_readable):
            return f"dtype {info.dtype} is not one of {', '.join(sorted(_FLOATS))}"
        if len(info.shape) > _MOST_DIMENSIONS or 0 in info.shape:
            return f"shape {info.shape} is neither a matrix' nor a convolution's"
    if problem := module.algorithm.problem(module.shapes, module.options):
        return problem
    if alpha is not None and (alpha.dtype == "BOOL" or not alpha.is_readable or math.prod(alpha.shape) != 1):
        return f"alpha must be one number, not {alpha.dtype} {alpha.shape}"
    if module.options.get("use_dora") and "up" in module.tensors and not module.magnitudes:
        return "its lora_magnitude_vector is missing, and its configuration says use_dora"
    return None
