"""Engines by name: `torch` is the reference, `onnxruntime` the default on a CPU, `tensorrt` for NVIDIA GPUs."""

from __future__ import annotations

import os

from triptych.checkpoint import Component
from triptych.contract import PREPROCESSOR, UPSCALER
from triptych.contract.engines import check_engine_name
from triptych.engine.port import Engine, EngineSettings
from triptych.errors import FailedPreconditionError

__all__ = ["Engine", "EngineSettings", "load_engine"]

# Read by ONNX Runtime when it is imported; told so only later, it has left a device's id in the home folder by then,
# and a session's in the temporary one.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def load_engine(name: str, component: Component, settings: EngineSettings) -> Engine:
    """Loads a component into the engine of that name, importing only what that engine needs."""
    settings = settings.suiting(component)
    if name == "tensorrt" and component.architecture.model == UPSCALER.name:
        problem = "the tensorrt engine takes no upscalers: register this one with the engine torch or onnxruntime"
        raise FailedPreconditionError(problem)
    if component.architecture.model == PREPROCESSOR.name:
        return _network(check_engine_name(name), component, settings)
    if check_engine_name(name) == "onnxruntime":
        from triptych.engine.onnxruntime.engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine.load(component, settings)
    try:
        if name == "tensorrt":
            from triptych.engine.tensorrt.engine import TensorRtEngine

            return TensorRtEngine.load(component, settings)
        from triptych.engine.torch.engine import TorchEngine

        return TorchEngine.load(component, settings)
    except ModuleNotFoundError as error:
        extras = "server,torch,tensorrt" if name == "tensorrt" else "server,torch"
        raise FailedPreconditionError(
            f"the {name} engine needs the package {error.name}: pip install triptych[{extras}]"
        ) from error


def _network(name: str, component: Component, settings: EngineSettings) -> Engine:
    """The engine of a file that is its own graph."""
    if name != "onnxruntime":
        problem = f"the {name} engine runs no ONNX files: register this one with the engine onnxruntime"
        raise FailedPreconditionError(problem)
    from triptych.engine.onnxruntime.network import NetworkEngine

    return NetworkEngine.load(component, settings)
