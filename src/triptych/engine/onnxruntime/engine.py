"""ONNX Runtime on the CPU: a shared graph without weights, the checkpoint's tensors handed to it by name.

Weights that a LoRA can change are inputs of the session, bound on every run to where they lie: in the mapped
safetensors file, or in an array that a refit brought. An exchange is that of a pointer, and loading packs nothing.
Where they are in half precision the session widens each for as long as its product takes. Pictures that tile, and a
UNet under ControlNets and adapters, have sessions of their own over the same weights, made on first use.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from triptych.checkpoint import Component
from triptych.contract import CONTROLNET, LORA_MODELS, T2I_ADAPTER, UNET
from triptych.contract.paths import text_from_path
from triptych.engine.cache.artifacts import ensure_graph, read_graph
from triptych.engine.conditions import feature_places, residual_names
from triptych.engine.onnxruntime.attention import fuse_attention
from triptych.engine.onnxruntime.exchange import free_vectors, free_weights, take_halves
from triptych.engine.port import Array, Engine, EngineSettings, Weights, one_by_one
from triptych.engine.rewriting.variant import PLAIN, Variant
from triptych.engine.weights import (
    Maps,
    check_parameters,
    check_refit,
    float32_weights,
    held_weights,
    lies_ready,
    map_files,
)

# A server that sees other people's prompts reports to nobody.
onnxruntime.disable_telemetry_events()

# Models that run every step, or are one of many, or whose weights are exchanged: nothing of their files is copied or
# packed.
_BOUND_MODELS = (*LORA_MODELS, CONTROLNET, T2I_ADAPTER)
_EACH_STEP = (UNET.name, CONTROLNET)
_HALVES = {"F16": onnx.TensorProto.FLOAT16, "BF16": onnx.TensorProto.BFLOAT16}


class OnnxRuntimeEngine(Engine):
    """An InferenceSession; `base` are the exchangeable weights as the checkpoint has them."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        component: Component,
        settings: EngineSettings,
        maps: Maps,
        base: Mapping[str, onnxruntime.OrtValue],
        graph_digest: str = "",
    ) -> None:
        """`maps` are of the component's files, made before the session was."""
        self._session = session
        self._component, self._settings, self._maps = component, settings, maps
        self._outputs = [output.name for output in session.get_outputs()]
        self._base = base
        self._bound = dict(base)
        self._graph_digest = graph_digest
        self._variants: dict[Variant, onnxruntime.InferenceSession] = {}
        self._opening = threading.Lock()
        self._packed: dict[str, onnxruntime.OrtValue] = {}  # what the first session has inside

    @classmethod
    def load(cls, component: Component, settings: EngineSettings) -> OnnxRuntimeEngine:
        """Takes the architecture's graph from the cache, exporting it if need be, and binds the weights by name."""
        path, maps = ensure_graph(component.architecture, settings.cache_dir, component=component), map_files(component)
        graph, graph_digest = open_graph(component, path), sha256(read_graph(path)).hexdigest()
        is_bound = component.architecture.model in _BOUND_MODELS
        names = _free(graph, component) if is_bound else []
        options = _options(component, settings, constant_weights=not is_bound)
        base = _values(component, names, maps)
        return cls(open_session(graph, component, options), component, settings, maps, base, graph_digest)

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs a batch's samples one by one."""
        return self._infer(inputs, Variant.of(inputs))

    def infer_wrapped(self, inputs: Mapping[str, Array], axes: str) -> dict[str, Array]:
        """Runs a batch's samples one by one in a session of those axes."""
        return self._infer(inputs, Variant.of(inputs, axes))

    def _infer(self, inputs: Mapping[str, Array], variant: Variant) -> dict[str, Array]:
        if variant == PLAIN:
            return one_by_one(partial(self._infer_one, self._session, self._bound), inputs)
        session = self._session_of(variant)
        if variant.is_controlled:
            inputs = self._with_nothing(inputs)
        return one_by_one(partial(self._infer_one, session, self._bound | self._packed), inputs)

    def _with_nothing(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """And zeros for what no ControlNet or no adapter gives: one graph is right for both, and both together."""
        architecture = self._component.architecture
        nothing = np.zeros((len(next(iter(inputs.values()))), 1, 1, 1), np.float32)
        names = [*residual_names(architecture), *feature_places(architecture)]
        return {**dict.fromkeys(names, nothing), **inputs}

    def prepare_residuals(self, axes: str = "") -> None:
        """Opens the session for them."""
        self._session_of(Variant(axes, is_controlled=True))

    def prepare_image_prompt(self, count: int = 1, axes: str = "") -> None:
        """Opens the session for it."""
        self._session_of(Variant(axes, prompts=count))

    def _session_of(self, variant: Variant) -> onnxruntime.InferenceSession:
        with self._opening:
            if variant not in self._variants:
                self._variants[variant] = self._open(variant)
            return self._variants[variant]

    def _open(self, variant: Variant) -> onnxruntime.InferenceSession:
        """All its weights are bound, those too that the first session packed: none is there twice."""
        path = ensure_graph(self._component.architecture, self._settings.cache_dir, component=self._component)
        graph = open_graph(self._component, path, variant)
        names = _free(graph, self._component)
        known = self._bound.keys() | self._packed.keys()
        more = _values(self._component, [name for name in names if name not in known], self._maps)
        self._packed = self._packed | more  # another, for this one may be read just now
        return open_session(graph, self._component, _options(self._component, self._settings, constant_weights=False))

    def _infer_one(
        self,
        session: onnxruntime.InferenceSession,
        bound: Mapping[str, onnxruntime.OrtValue],
        inputs: Mapping[str, Array],
    ) -> dict[str, Array]:
        feeds = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in inputs.items()}
        outputs = session.run_with_ort_values(self._outputs, {**feeds, **bound})
        return {name: value.numpy() for name, value in zip(self._outputs, outputs, strict=True)}

    def about(self) -> dict[str, str]:
        """The library's version, and the graph's content."""
        return {"onnxruntime": onnxruntime.__version__, "graph": self._graph_digest}

    def refit(self, weights: Weights) -> None:
        """Points the session to other arrays; costs microseconds."""
        check_refit(self._component, weights, self._base)
        for name, array in weights.items():
            self._bound[name] = self._base[name] if array is None else _value(array)


def _free(graph: onnx.ModelProto, component: Component) -> list[str]:
    """Makes inputs of all weights and vectors, in the types that the files have, in place; returns their names."""
    names = [*free_weights(graph), *free_vectors(graph)]
    take_halves(graph, _halves(component, names))
    return names


def _options(component: Component, settings: EngineSettings, *, constant_weights: bool) -> onnxruntime.SessionOptions:
    spin = component.architecture.model in _EACH_STEP
    return session_options(settings.threads, constant_weights=constant_weights, spin=spin)


def open_graph(component: Component, path: Path, variant: Variant = PLAIN) -> onnx.ModelProto:
    """That variant of a path's graph with its attention fused; CheckpointInvalidError if the weights do not fit it."""
    graph = onnx.load_model_from_string(read_graph(path))
    check_parameters(component, {tensor.name: tuple(tensor.dims) for tensor in _parameters(graph)})
    variant.rewrite(graph, component)
    fuse_attention(graph)
    return graph


def open_session(
    graph: onnx.ModelProto, component: Component, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    """A session of the graph, its constants taken from the component's files."""
    arrays = _bind_constants(graph, component, options)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    del arrays  # ONNX Runtime reads them while it builds the session, but does not keep them until then
    return session


def session_options(threads: int, *, constant_weights: bool, spin: bool = False) -> onnxruntime.SessionOptions:
    """ONNX Runtime's optimisations, on the cores this stage was given.

    Only constant weights can be reordered into the blocked layout of the highest level. Threads that `spin` from one
    operator to the next make a UNet's step about 5% faster; but where two stages share cores they are in each other's
    way, so the others sleep, and no thread spins between two runs.
    """
    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if constant_weights else level.ORT_ENABLE_EXTENDED
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A plan of allocations is kept for every shape that comes, and pictures come in many.
    options.enable_mem_pattern = False
    # Which tensor could take another's place is looked for among all that are free, for each anew: two thirds of the
    # time that a UNet's session takes to open. None is found where sizes are open; the allocator has the memory back.
    options.enable_mem_reuse = False
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _bind_constants(
    graph: onnx.ModelProto, component: Component, options: onnxruntime.SessionOptions
) -> list[onnxruntime.OrtValue]:
    """Says where in the files each initializer lies; those that need widening are handed over as arrays, and returned.

    ONNX Runtime then maps, packs and lets go of one weight after the other. Handing over all as arrays would hold the
    whole checkpoint two or three times during the load.
    """
    parameters = _parameters(graph)
    ready = [tensor for tensor in parameters if lies_ready(component.weights[tensor.name])]
    # Resolved, for ONNX Runtime refuses links that lead out of the folder, as those of model hubs' caches do.
    files = {path: path.resolve() for path in {info.path for info in component.weights.values()}}
    folder = os.path.commonpath([path.parent for path in files.values()])
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", text_from_path(folder))
    for tensor in ready:
        info = component.weights[tensor.name]
        del tensor.external_data[:]
        for key, value in (
            ("location", text_from_path(os.path.relpath(files[info.path], folder))),
            ("offset", str(info.offset_bytes)),
            ("length", str(info.size_bytes)),
        ):
            tensor.external_data.add(key=key, value=value)
    located = {tensor.name for tensor in ready}
    others = [tensor.name for tensor in parameters if tensor.name not in located]
    values = {name: _value(array) for name, array in float32_weights(component, others)}
    options.add_external_initializers(list(values), list(values.values()))
    return list(values.values())


def _halves(component: Component, names: Iterable[str]) -> dict[str, int]:
    """Those that the files have in half precision, with ONNX's name for their type."""
    stored = {name: component.weights[name].dtype for name in names}
    return {name: _HALVES[dtype] for name, dtype in stored.items() if dtype in _HALVES}


def _values(component: Component, names: Iterable[str], maps: Maps) -> dict[str, onnxruntime.OrtValue]:
    return {name: _value(array) for name, array in held_weights(component, names, maps)}


def _value(array: npt.NDArray[Any]) -> onnxruntime.OrtValue:
    """The array as ONNX Runtime has it, which stays where it is."""
    if array.dtype == ml_dtypes.bfloat16:
        make = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type
        return make(array.view(np.uint16), onnx.TensorProto.BFLOAT16)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _parameters(graph: onnx.ModelProto) -> list[onnx.TensorProto]:
    """The initializers that stand for the checkpoint's tensors."""
    return [tensor for tensor in graph.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
