"""An ONNX model's inputs, outputs and weights; what it may not have is refused, wherever in the file it stands.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto has the fields' numbers. Everything is walked, for a tensor can
say that its numbers lie in another file, and an operator that it goes on for ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from triptych.checkpoint.configs import broken
from triptych.checkpoint.onnx_files.wire import Span, Wire
from triptych.checkpoint.opening import open_file, size_of
from triptych.checkpoint.recognition import ENOUGH_BYTES, recognized
from triptych.checkpoint.safetensors import TensorInfo

_MOST_DEPTH = 32
_MOST_DIMENSIONS = 8
_LARGEST_EXTENT = 1 << 48
_ENDLESS = ("Loop", "Scan")
# TensorProto.DataType, and what safetensors calls it.
_TYPES = {1: "F32", 2: "U8", 3: "I8", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16", 11: "F64", 16: "BF16"}
_SIZES = {"F32": 4, "U8": 1, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "BOOL": 1, "F16": 2, "F64": 8, "BF16": 2}
# Which fields of a message are messages that can hold tensors or operators.
_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING = range(8)
_INSIDE = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
    _TENSOR: {},
}
_GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_INITIALIZER = 11, 12, 5
_MODEL_GRAPH, _MODEL_METADATA = 7, 14
_NODE_TYPE = 4
_TENSOR_EXTERNAL = (13, 14)


@dataclass(frozen=True)
class Value:
    """What goes in or comes out: its type as safetensors calls it, its extents, 0 for one that is open.

    `dims` None: no shape is told. `datatype` "": it is no tensor of numbers that are known here.
    """

    name: str
    datatype: str
    dims: tuple[int, ...] | None


@dataclass
class Model:
    """`inputs` are those that somebody must bring; `tensors` are the weights, by their names."""

    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


def read_model(path: Path) -> Model:
    """The model of a file; CheckpointInvalidError says what is wrong with it."""
    try:
        with open_file(path) as stream:
            if kind := recognized(stream.read(ENOUGH_BYTES)):
                raise broken(path, kind)
            return _Reading(path, Wire(stream)).model(Span(0, size_of(stream)))
    except ValueError as error:
        raise broken(path, f"cannot be read as an ONNX file: it {error}") from error


@dataclass
class _Reading:
    path: Path
    wire: Wire
    read: Model = field(default_factory=Model)

    def model(self, whole: Span) -> Model:
        self._walk(whole, _MODEL, 0)
        for number, value in self._spans(whole):
            if number == _MODEL_GRAPH:
                self._graph(value)
            elif number == _MODEL_METADATA:
                key, text = self._texts(value, 1, 2)
                self.read.metadata[key] = text
        self.read.inputs = [value for value in self.read.inputs if value.name not in self.read.tensors]
        if not (self.read.inputs and self.read.outputs):
            raise broken(self.path, "is no ONNX model: it has no graph with an input and an output")
        return self.read

    def _walk(self, span: Span, kind: int, depth: int) -> None:
        """All that can hold a tensor or an operator."""
        if depth > _MOST_DEPTH:
            raise ValueError(f"has messages more than {_MOST_DEPTH} deep in one another")
        for number, value in self.wire.fields(span):
            if kind == _TENSOR and number in _TENSOR_EXTERNAL and value != 0:
                problem = "has weights in another file; save it as one: onnx.save_model(save_as_external_data=False)"
                raise broken(self.path, problem)
            if not isinstance(value, Span):
                continue
            if kind == _NODE and number == _NODE_TYPE and (name := self.wire.text(value)) in _ENDLESS:
                raise broken(self.path, f"has the operator {name}, which may go on for ever; export it without")
            if inside := _INSIDE[kind].get(number):
                self._walk(value, inside, depth + 1)

    def _graph(self, span: Span) -> None:
        for number, value in self._spans(span):
            if number == _GRAPH_INPUT:
                self.read.inputs.append(self._value(value))
            elif number == _GRAPH_OUTPUT:
                self.read.outputs.append(self._value(value))
            elif number == _GRAPH_INITIALIZER:
                self._tensor(value)

    def _value(self, span: Span) -> Value:
        """ValueInfoProto: a name, and a TypeProto, of which a tensor's is the first field."""
        (name,) = self._texts(span, 1)
        datatype, dims = "", None
        for tensor in self._below(span, 2, 1):
            for number, value in self.wire.fields(tensor):
                if number == 1 and isinstance(value, int):
                    datatype = _TYPES.get(value, "")
                elif number == 2 and isinstance(value, Span):
                    dims = tuple(self._dimension(each) for each in self._below(value, 1))
        return Value(name, datatype, dims)

    def _dimension(self, span: Span) -> int:
        return next((value for number, value in self.wire.fields(span) if number == 1 and isinstance(value, int)), 0)

    def _tensor(self, span: Span) -> None:
        """Where its numbers lie, if they lie in one piece; others are ONNX Runtime's to read."""
        name, dtype, dims, content = "", "", list[int](), Span(0, 0)
        for number, value in self.wire.fields(span):
            if number == 1:
                dims += self.wire.packed(value, _MOST_DIMENSIONS) if isinstance(value, Span) else [value]
            elif number == 2 and isinstance(value, int):
                dtype = _TYPES.get(value, "")
            elif isinstance(value, Span) and number in (4, 9):
                content = value
            elif isinstance(value, Span) and number == 8:
                name = self.wire.text(value)
        if len(dims) > _MOST_DIMENSIONS or any(extent > _LARGEST_EXTENT for extent in dims):
            raise ValueError(f"has a weight {name[:80]} of an absurd shape")
        size_bytes = math.prod(dims) * _SIZES.get(dtype, 0)
        told = content.size_bytes == size_bytes
        self.read.tensors[name] = TensorInfo(
            self.path, dtype if told else "", tuple(dims), content.begin, content.size_bytes
        )

    def _spans(self, span: Span) -> Iterator[tuple[int, Span]]:
        return ((number, value) for number, value in self.wire.fields(span) if isinstance(value, Span))

    def _below(self, span: Span, *numbers: int) -> Iterator[Span]:
        """The messages at the end of a way of fields."""
        first, *others = numbers
        for number, value in self._spans(span):
            if number == first:
                yield from self._below(value, *others) if others else (value,)

    def _texts(self, span: Span, *numbers: int) -> list[str]:
        found = {number: self.wire.text(value) for number, value in self._spans(span) if number in numbers}
        return [found.get(number, "") for number in numbers]
