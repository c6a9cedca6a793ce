"""ONNX Runtime on the CPU with an ONNX file as it is: its own graph, its own weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime

from triptych.checkpoint import Component
from triptych.checkpoint.configs import broken
from triptych.contract.paths import text_from_path
from triptych.engine.onnxruntime.engine import session_options
from triptych.engine.port import Array, Engine, EngineSettings, Weights, one_by_one
from triptych.errors import FailedPreconditionError, invalid

_LONGEST = 300
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class NetworkEngine(Engine):
    """image [B, C, H, W] -> whatever the file calls what it gives, as float32."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        (self._input,) = session.get_inputs()
        self._outputs = [output.name for output in session.get_outputs()]

    @classmethod
    def load(cls, component: Component, settings: EngineSettings) -> NetworkEngine:
        """CheckpointInvalidError where ONNX Runtime does not take the file."""
        options = session_options(settings.threads, constant_weights=True)
        options.log_severity_level = 4  # what it says it says in its error too
        try:
            path = text_from_path(component.place.resolve())
            return cls(onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))
        except Exception as error:  # of many classes, whose only base is this
            raise broken(component.place, f"ONNX Runtime does not take it: {error}") from error

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs a batch's samples one by one; InvalidArgumentError where the network takes none of that size."""
        return one_by_one(self._infer_one, inputs)

    def _infer_one(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        image = inputs["image"]
        try:
            found = self._session.run(self._outputs, {self._input.name: image.astype(_TYPES[self._input.type])})
        except Exception as error:  # likewise
            height, width = image.shape[2:]
            raise invalid(
                "image", f"of {width} x {height} is none that this network takes: {str(error)[:_LONGEST]}"
            ) from error
        return {name: np.asarray(array, np.float32) for name, array in zip(self._outputs, found, strict=True)}

    def about(self) -> dict[str, str]:
        """The library's version; the file has its digest."""
        return {"onnxruntime": onnxruntime.__version__}

    def refit(self, weights: Weights) -> None:
        """Nothing changes it."""
        raise FailedPreconditionError("the weights of an ONNX file cannot be exchanged")
