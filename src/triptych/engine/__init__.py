"""Engines by name: `torch` is the reference, `onnxruntime` the default on a CPU."""

from __future__ import annotations

from triptych.checkpoint import Component
from triptych.contract.engines import check_engine_name
from triptych.engine.port import Engine, EngineSettings
from triptych.errors import FailedPreconditionError

__all__ = ["Engine", "EngineSettings", "load_engine"]


def load_engine(name: str, component: Component, settings: EngineSettings) -> Engine:
    """Loads a component into the engine of that name, importing only what that engine needs."""
    if check_engine_name(name) == "onnxruntime":
        from triptych.engine.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine.load(component, settings)
    try:
        from triptych.engine.torch_engine import TorchEngine
    except ModuleNotFoundError as error:
        raise FailedPreconditionError(
            f"the torch engine needs the package {error.name}: install triptych[server,torch]"
        ) from error
    return TorchEngine.load(component, settings)
