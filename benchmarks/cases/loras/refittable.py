"""What exchangeable weights cost: the engine as shipped against a session of the same graph that may fold its weights.

The other side has constant weights and all of ONNX Runtime's optimisations, the blocked layout of convolutions with
them; nothing could be exchanged in it.
"""

from __future__ import annotations

import onnx
import onnxruntime

from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import Side, ratio_by_round, take_turns
from benchmarks.unet_steps import UnetSteps
from triptych.engine import Engine, load_engine
from triptych.engine.cache.artifacts import ensure_graph, read_graph
from triptych.engine.onnxruntime.attention import fuse_attention
from triptych.engine.onnxruntime.engine import OnnxRuntimeEngine, session_options

TARGET_RATIO = 1.05


def run(setting: Setting) -> bool:
    """Prints the table; whether the target is met."""
    unet = UnetSteps.of(setting)
    shipped = load_engine("onnxruntime", unet.component, unet.settings)
    constant = _constant_engine(unet)
    sides: dict[str, Side] = {
        "weights as inputs": lambda _round: unet.seconds(shipped),
        "constant weights": lambda _round: unet.seconds(constant),
    }
    for side in sides.values():
        side(0)
    seconds = take_turns(sides, setting.rounds)
    print(f"one step of two samples, {setting.describe()}")
    print_seconds(seconds)
    ratio = ratio_by_round(seconds["weights as inputs"], seconds["constant weights"])
    return print_judgement("median of the rounds' ratios", ratio, TARGET_RATIO)


def _constant_engine(unet: UnetSteps) -> Engine:
    """The same graph and the same files; the benchmarks' own checkpoints are float32, aligned and in one folder."""
    path = ensure_graph(unet.component.architecture, unet.settings.cache_dir)
    graph = onnx.load_model_from_string(read_graph(path))
    fuse_attention(graph)
    folder = unet.component.place.resolve()
    for tensor in graph.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            info = unet.component.weights[tensor.name]
            del tensor.external_data[:]
            tensor.external_data.add(key="location", value=info.path.name)
            tensor.external_data.add(key="offset", value=str(info.offset_bytes))
            tensor.external_data.add(key="length", value=str(info.size_bytes))
    options = session_options(unet.settings.threads, constant_weights=True, spin=True)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return OnnxRuntimeEngine(session, unet.component, unet.settings, {}, {})
