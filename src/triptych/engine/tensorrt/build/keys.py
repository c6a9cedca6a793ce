"""What an engine in the cache depends on, and its folder's name made from that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from triptych.checkpoint import Component
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.network.profiles import Profile

# Part of every key: raise it when the same inputs would give another engine.
BUILD_REVISION = 2


@dataclass(frozen=True)
class Gpu:
    """A plan runs on the kind of GPU and with the TensorRT that built it, and on nothing else."""

    name: str
    compute_capability: tuple[int, int]
    tensorrt_version: str

    def digest(self) -> str:
        """Names the timing cache, which holds for the same three."""
        return _digest(asdict(self))


@dataclass(frozen=True)
class Build:
    """One engine: `weights_digest` is empty where it takes any checkpoint of the architecture."""

    model: str
    graph_digest: str
    weights_digest: str
    profiles: Sequence[Profile]
    precision: str
    plan: RefitPlan
    gpu: Gpu

    def key(self) -> str:
        """The folder's name: which model, and a digest of all of the above."""
        return f"{self.model}-{_digest({'revision': BUILD_REVISION, **asdict(self)})}"

    def subject(self) -> str:
        """A digest that builds share whose steps can be compared: the same but for weights and plan."""
        return replace(self, weights_digest="", plan=RefitPlan.PER_CHECKPOINT).key()


def build_of(
    component: Component,
    graph: bytes,
    profiles: Sequence[Profile],
    precision: str,
    plan: RefitPlan,
    gpu: Gpu,
) -> Build:
    """The build of a component from its typed graph's content."""
    weights = weights_digest(component) if plan is not RefitPlan.PER_ARCHITECTURE else ""
    graph_digest = hashlib.sha256(graph).hexdigest()
    return Build(component.architecture.model, graph_digest, weights, profiles, precision, plan, gpu)


def weights_digest(component: Component) -> str:
    """A digest of the weight files' content, so that equal files in two places are one checkpoint."""
    paths = sorted({info.path.resolve() for info in component.weights.values()})
    digests = []
    for path in paths:
        state = path.stat()
        digests.append(_file_digest(path, state.st_size, state.st_mtime_ns))
    return _digest(sorted(digests))


@lru_cache(maxsize=64)
def _file_digest(path: Path, _size_bytes: int, _modified_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]
