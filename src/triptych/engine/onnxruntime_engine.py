"""ONNX Runtime on the CPU: a shared graph without weights, the checkpoint's tensors handed to it at load."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnxruntime

from triptych.checkpoint import Component
from triptych.engine.artifacts import ensure_graph
from triptych.engine.port import Array, Engine, EngineSettings
from triptych.engine.weights import check_parameters, float32_weights


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
        shapes = {
            tensor.name: tuple(tensor.dims)
            for tensor in graph.graph.initializer
            if tensor.data_location == onnx.TensorProto.EXTERNAL
        }
        check_parameters(component, shapes)
        options = session_options(settings.threads)
        names, values = [], []
        for name, array in float32_weights(component, shapes):
            names.append(name)
            values.append(onnxruntime.OrtValue.ortvalue_from_numpy(array))
        options.add_external_initializers(names, values)
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
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
    # Stages share the machine's cores: a pool that spins between steps would take them from the next stage.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
