"""An ONNX file of a network that prepares pictures, which its own graph runs: nothing is exported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from triptych.checkpoint.configs import broken
from triptych.checkpoint.onnx_files import Value, read_model, told_normalization
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import OnePart, Told
from triptych.errors import CheckpointInvalidError

PART, CLASS = "network", "OnnxNetwork"
SUFFIX = ".onnx"
_FLOATS = ("F32", "F16")
# Grey, colours, and colours with one of ones.
_COLOURS = 3
_CHANNELS = (1, _COLOURS, 4)


class NetworkFile(OnePart):
    """The file at `path`; all that is asked of it is the part "network"."""

    format = "onnx"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note(path)
        self._model = read_model(path)

    def metadata(self) -> Mapping[str, str]:
        """Of the file's own properties."""
        return self._model.metadata

    def index(self) -> Told:
        """As if it were a pipeline of one part."""
        return Told(self.path, {"_class_name": CLASS, PART: ["triptych", CLASS]})

    def config(self, part: str) -> Told:
        """What its input and its outputs say; extents of 0 are open."""
        told_normalization(self.path, self._model.metadata)
        channels, height, width = self._input()
        for output in self._model.outputs:
            self._check_output(output)
        config = {"channels": channels, "height": height, "width": width, "outputs": len(self._model.outputs)}
        return Told(self.path, config)

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """By the graph's own names; only ONNX Runtime reads them."""
        return dict(self._model.tensors)

    def _input(self) -> tuple[int, int, int]:
        """Channels, height and width of the picture."""
        asked = self._model.inputs
        if len(asked) > 1:
            names = ", ".join(value.name[:80] for value in asked[:8])
            raise broken(self.path, f"asks for {len(asked)} inputs, {names}; a preprocessor is given a picture alone")
        (value,) = asked
        if value.datatype not in _FLOATS or value.dims is None or len(value.dims) != 4 or value.dims[0] not in (0, 1):
            raise self._unlike(value)
        _, channels, height, width = value.dims
        if channels not in (0, *_CHANNELS):
            raise self._unlike(value)
        return channels or _COLOURS, height, width

    def _unlike(self, value: Value) -> CheckpointInvalidError:
        wanted = "must be float [batch, channels, height, width] of 1, 3 or 4 channels, batch 1 or open"
        return broken(self.path, f"its input {_told(value)}, {wanted}")

    def _check_output(self, value: Value) -> None:
        is_map = value.dims is None or (len(value.dims) in (3, 4) and value.dims[0] in (0, 1))
        if value.datatype not in _FLOATS or not is_map:
            wanted = "must be float [batch, channels, height, width] or [batch, height, width], batch 1 or open"
            raise broken(self.path, f"its output {_told(value)}, {wanted}")


def _told(value: Value) -> str:
    dims = "of no told shape" if value.dims is None else str(list(value.dims))
    return f"{value.name[:80]} is {value.datatype or 'no number'} {dims}"
