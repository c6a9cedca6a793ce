"""Gives a weightless graph its weights, as one file beside it in the types that the graph declares.

A file, and not the parser's `load_initializer`, because every TensorRT 10 and 11 reads it, and because it costs page
cache where handing over arrays would hold the whole checkpoint in memory until the build ends.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from triptych.checkpoint import Component
from triptych.engine.tensorrt.network.floats import encode
from triptych.engine.weights import float32_weights

WEIGHTS_FILE = "weights.bin"
_ALIGNMENT_BYTES = 64


def write_model(model: onnx.ModelProto, component: Component, folder: Path) -> Path:
    """Writes graph and weights into the folder, each parameter pointed at its bytes; returns the graph's path."""
    parameters = {t.name: t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL}
    with (folder / WEIGHTS_FILE).open("wb") as stream:
        for name, array in float32_weights(component, parameters):
            stream.write(bytes(-stream.tell() % _ALIGNMENT_BYTES))
            place = {"location": WEIGHTS_FILE, "offset": str(stream.tell())}
            encoded = encode(array, parameters[name].data_type)
            stream.write(encoded.data if encoded.ndim else encoded.tobytes())
            del parameters[name].external_data[:]
            for key, value in {**place, "length": str(encoded.nbytes)}.items():
                parameters[name].external_data.add(key=key, value=value)
    path = folder / "graph.onnx"
    path.write_bytes(model.SerializeToString())
    return path
