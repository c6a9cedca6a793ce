"""Builds of a stand-in: an engine's whole life from the build on, which a test holds up or has fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from tests.engine.tensorrt.test_session import half
from triptych.engine.tensorrt import choice, engine, variants
from triptych.engine.tensorrt.build import making
from triptych.engine.tensorrt.build.keys import Gpu
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.engine import TensorRtEngine
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.plain import OVERRIDE, Comparison
from triptych.errors import TriptychError

# What the stand-in multiplies with where it is a plain engine.
ON_PLAIN = 7.0

Load = Callable[[], TensorRtEngine]


class Workshop:
    """Builds what the stand-in runs; a build waits until it may go on."""

    def __init__(self, graph: TypedGraph) -> None:
        self.graph = graph
        self.built: list[RefitPlan] = []
        self.inputs: list[set[str]] = []  # of the graph of each
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.problem: Exception | None = None
        self.free_bytes = 80_000_000_000
        self.comparison = Comparison(0.010, 0.017)
        self.compared = 0

    def build(self, path: Path, dims: Any, profiles: Any, names: Any, timings: Path, told: Any, stopped: Any) -> Any:
        model = onnx.load(path, load_external_data=False)
        plan = next(plan for plan in RefitPlan if list(self.graph.open_names(plan)) == list(names))
        while not self.may_go_on.wait(0.01):
            if stopped():
                raise TriptychError("TensorRT could not build an engine; its log says why")
        if self.problem is not None:
            raise self.problem
        self.built.append(plan)
        self.inputs.append({value.name for value in model.graph.input})
        weights = {name: half(self.graph, name).tolist() for name in names} or {"folded": [ON_PLAIN]}
        return np.frombuffer(json.dumps(weights).encode(), np.uint8)

    def compare(self, *_arguments: Any) -> Comparison:
        self.compared += 1
        return self.comparison


def opened(graph: TypedGraph, patch: pytest.MonkeyPatch) -> Workshop:
    """In the place of TensorRT's builder, for engines of that graph."""
    shop, typed = Workshop(graph), TypedGraph.of
    patch.delenv(OVERRIDE, raising=False)
    patch.setattr(making, "cuda_device", lambda _settings: torch.device("cpu"))
    patch.setattr(making, "_gpu", lambda _device: Gpu("NVIDIA L4", (8, 9), "10.13.0"))
    patch.setattr(making.TypedGraph, "of", lambda *told: typed(*told) if told[2:] else graph)
    patch.setattr(making, "build_engine", shop.build)
    for module in (making, engine, variants):
        patch.setattr(module, "check_outputs", lambda *_arguments: 0.0)
    patch.setattr(choice, "compare", shop.compare)
    patch.setattr(torch.cuda, "mem_get_info", lambda _device: (shop.free_bytes, 80_000_000_000))
    patch.setattr(making.Session, "step_seconds", lambda _session, _inputs: 0.017)
    return shop


def ended(one: TensorRtEngine) -> None:
    """Waits until nothing is being made beside it."""
    beside = one._beside
    assert beside._wider is None or beside._wider.wait(60)  # which may begin the other anew
    assert beside._plain is not None and beside._plain.wait(60)


def changed(graph: TypedGraph, name: str, value: float = 1.0) -> dict[str, Any]:
    return {name: np.full(graph.component.weights[name].shape, value, np.float32)}


def held_by(one: TensorRtEngine) -> dict[str, Any]:
    weights: dict[str, Any] = one._pair.refittable.session.engine._weights
    return weights
