"""Builds graphs with TensorRT for RTX, and reads what came of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from triptych.engine.tensorrt.build.builder import Definition, define, serialize
from triptych.engine.tensorrt.network.external import write_model
from triptych.engine.tensorrt.network.profiles import Profile, Range, input_dims
from triptych.engine.tensorrt.network.typed import TypedGraph

_LOGGER = logging.getLogger("triptych.engine.tensorrt")
_ACTIVATIONS = re.compile(r"Total Activation Memory: (\d+) bytes")
_FUSED_ATTENTION = b"function={ name=_gemm_mha_v2 "


@dataclass(frozen=True)
class Built:
    """A plan, and the bytes of activations that the builder reported for each profile."""

    plan: bytes
    activation_bytes: Sequence[int]

    @property
    def fused_attentions(self) -> int:
        """Of all profiles together, of which some may share a program."""
        return self.plan.count(_FUSED_ATTENTION)


@dataclass
class _Lines(logging.Handler):
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = logging.Handler.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def defined(graph: TypedGraph, folder: Path, profiles: Sequence[Profile] | None = None) -> Definition:
    """The graph as the package's own code hands it to the builder."""
    return define(write_model(graph.model, graph.component, folder), graph.dims, profiles or graph.profiles)


def build(
    rtx: Any, graph: TypedGraph, folder: Path, profiles: Sequence[Profile] | None = None, monitor: Any = None
) -> Built:
    """Builds with no weight open, for builds of open ones ask for a driver."""
    definition = defined(graph, folder, profiles)
    if monitor is not None:
        definition.config.progress_monitor = monitor
    return _built(rtx, definition, folder)


def build_network(rtx: Any, model: onnx.ModelProto, folder: Path) -> Built:
    """Builds any graph whose only free dimension is the batch."""
    path = folder / "network.onnx"
    onnx.save_model(model, path)
    return _built(rtx, define(path, input_dims(model.graph), [Profile({"batch": Range(1, 2, 4)})]), folder)


def _built(rtx: Any, definition: Definition, folder: Path) -> Built:
    definition.config.num_compute_capabilities = 1
    definition.config.set_compute_capability(rtx.ComputeCapability.SM89, 0)  # an RTX 40 card
    definition.config.profiling_verbosity = rtx.ProfilingVerbosity.DETAILED  # puts the program into the plan
    handler, level = _Lines(), _LOGGER.level
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.DEBUG)
    try:
        plan = bytes(serialize(definition, folder / "timing.cache"))
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
    reports = [match for line in handler.lines if (match := _ACTIVATIONS.search(line))]
    return Built(plan, [int(match[1]) for match in reports])


def softmaxes(graph: TypedGraph) -> int:
    """How many attentions the graph has."""
    return sum(node.op_type == "Softmax" for node in graph.model.graph.node)
