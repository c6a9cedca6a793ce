"""ONNX Runtime on the CPU: a shared graph without weights, the checkpoint's tensors handed to it at load."""

from __future__ import annotations

import os
from collections.abc import Mapping

import onnx
import onnxruntime

from triptych.checkpoint import Component
from triptych.engine.artifacts import ensure_graph
from triptych.engine.attention import fuse_attention
from triptych.engine.port import Array, Engine, EngineSettings
from triptych.engine.weights import check_parameters, float32_weights, lies_ready

# A server that sees other people's prompts reports to nobody.
onnxruntime.disable_telemetry_events()


class OnnxRuntimeEngine(Engine):
    """An InferenceSession whose initializers came straight from the safetensors files."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]

    @classmethod
    def load(cls, component: Component, settings: EngineSettings) -> OnnxRuntimeEngine:
        """Takes the architecture's graph from the cache, exporting it if need be, and binds the weights by name."""
        path = ensure_graph(component.architecture, settings.cache_dir)
        graph = onnx.load_model(path, load_external_data=False)
        external = {
            tensor.name: tensor
            for tensor in graph.graph.initializer
            if tensor.data_location == onnx.TensorProto.EXTERNAL
        }
        check_parameters(component, {name: tuple(tensor.dims) for name, tensor in external.items()})
        fuse_attention(graph)
        options = session_options(settings.threads)
        arrays = _bind_weights(graph, component, options)
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        del arrays  # ONNX Runtime reads them while it builds the session, but does not keep them until then
        return cls(session)

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs one batch."""
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """All of ONNX Runtime's optimisations, on the cores this stage was given."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A plan of allocations is kept for every shape that comes, and pictures come in many.
    options.enable_mem_pattern = False
    # Stages share the machine's cores: a pool that spins between steps would take them from the next stage.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _bind_weights(
    graph: onnx.ModelProto, component: Component, options: onnxruntime.SessionOptions
) -> list[onnxruntime.OrtValue]:
    """Says where in the files each initializer lies; those that need widening are handed over as arrays, and returned.

    ONNX Runtime then maps, packs and lets go of one weight after the other. Handing over all as arrays would hold the
    whole checkpoint two or three times during the load.
    """
    parameters = [tensor for tensor in graph.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    ready = [tensor for tensor in parameters if lies_ready(component.weights[tensor.name])]
    # Resolved, for ONNX Runtime refuses links that lead out of the folder, as those of model hubs' caches do.
    files = {info.path: info.path.resolve() for info in component.weights.values()}
    folder = os.path.commonpath([path.parent for path in files.values()])
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    for tensor in ready:
        info = component.weights[tensor.name]
        del tensor.external_data[:]
        for key, value in (
            ("location", os.path.relpath(files[info.path], folder)),
            ("offset", str(info.offset_bytes)),
            ("length", str(info.size_bytes)),
        ):
            tensor.external_data.add(key=key, value=value)
    located = {tensor.name for tensor in ready}
    names, values = [], []
    for name, array in float32_weights(component, [tensor.name for tensor in parameters if tensor.name not in located]):
        names.append(name)
        values.append(onnxruntime.OrtValue.ortvalue_from_numpy(array))
    options.add_external_initializers(names, values)
    return values
