"""Exports one architecture's graph to ONNX, without weights and under the checkpoint's own parameter names.

Needs torch, and runs in a process of its own, so that no server keeps torch in memory:

    python -m triptych.engine.exporter unet.json unet.onnx
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import logging
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from diffusers.models.upsampling import Upsample2D
from torch._subclasses.fake_tensor import FakeTensorMode

from triptych.checkpoint import Architecture, Component
from triptych.contract.carried import carry
from triptych.engine.exporting import described_component
from triptych.engine.modules import build_module, example_inputs, output_names, parameter_names
from triptych.engine.weights import check_parameters
from triptych.errors import TriptychError

_OPSET = 20
_PR_SET_PDEATHSIG = 1


def export_graph(architecture: Architecture, component: Component | None = None) -> onnx.ModelProto:
    """The architecture's graph; every parameter is an external initializer with a name, a shape and no data.

    CheckpointInvalidError, before anything is traced, where the weights of a `component` are not its parameters.
    """
    module = build_module(architecture)
    names = parameter_names(module)
    if component:
        check_parameters(component, {names[name]: tuple(value.shape) for name, value in module.named_parameters()})
    _simplify_resizes(module)
    arguments, dynamic_shapes = example_inputs(architecture)
    # Tracing wants tensors on a device and copies parameters, twice; fake ones claim to be there and hold no memory.
    fakes = FakeTensorMode(allow_non_fake_inputs=True)
    for name in names:
        owner, _, attribute = name.rpartition(".")
        holder = module.get_submodule(owner)
        with fakes:
            empty = torch.empty_like(getattr(holder, attribute), device="cpu")
        setattr(holder, attribute, torch.nn.Parameter(empty, requires_grad=False))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            kwargs=arguments,
            dynamic_shapes=dynamic_shapes,
            input_names=list(arguments),
            output_names=output_names(architecture),
            dynamo=True,
            optimize=False,
            opset_version=_OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return _weightless(program.model, names)


def _simplify_resizes(module: torch.nn.Module) -> None:
    """Has upsamplers not look whether they make over 2^31 numbers: a trace that compares sizes takes twice as long.

    What they would change then is the layout in memory, which a graph does not say.
    """
    for part in module.modules():
        if isinstance(part, Upsample2D):
            part.forward = functools.partial(_resize, part)


def _resize(upsampler: Any, hidden_states: torch.Tensor, output_size: Any = None) -> torch.Tensor:
    size = {"scale_factor": 2.0} if output_size is None else {"size": output_size}
    resized: torch.Tensor = upsampler.conv(torch.nn.functional.interpolate(hidden_states, **size, mode="nearest"))
    return resized


def _weightless(model: Any, names: Mapping[str, str]) -> onnx.ModelProto:
    """Takes the parameters' data out of an ONNX IR model and tidies the rest.

    While constants are folded the parameters stand as inputs, so that none is folded into a nameless transposed copy.
    """
    from onnxscript import ir, optimizer

    parameters = []
    for name, own_name in names.items():
        value = model.graph.initializers.pop(name)
        shape, value.const_value = value.const_value.shape, None
        value.name, value.shape, value.dtype = own_name, shape, ir.DataType.FLOAT
        parameters.append(value)
    inputs = len(model.graph.inputs)
    model.graph.inputs.extend(parameters)
    optimizer.optimize(model)
    proto: onnx.ModelProto = ir.to_proto(model)
    unused = {value.name for value in proto.graph.input[inputs:]} - {
        name for node in proto.graph.node for name in node.input
    }
    if unused:
        raise RuntimeError(f"the exported graph does not use {len(unused)} parameters, such as {sorted(unused)[:3]}")
    for value in proto.graph.input[inputs:]:
        proto.graph.initializer.append(_placeholder(value))
    del proto.graph.input[inputs:]
    del proto.graph.value_info[:]
    del proto.metadata_props[:]
    for node in proto.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    return proto


def _placeholder(value: onnx.ValueInfoProto) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=value.name, data_type=onnx.TensorProto.FLOAT)
    tensor.dims.extend(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="checkpoint")
    return tensor


def main() -> int:
    """Reads a canonical architecture from the first file, writes the graph to the second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", type=Path)
    parser.add_argument("graph", type=Path)
    parser.add_argument("--weights", type=Path, help="what `describe_weights` wrote, to be checked first")
    parser.add_argument("--parent", type=int, help="the process whose end is also this one's")
    arguments = parser.parse_args()
    if arguments.parent:
        end_with(arguments.parent)
    logging.getLogger("torch").setLevel(logging.ERROR)
    architecture = Architecture.from_canonical(arguments.architecture.read_text())
    try:
        component = arguments.weights and described_component(architecture, arguments.weights.read_text())
        graph = export_graph(architecture, component)
    except TriptychError as error:
        sys.stderr.write(carry(error))
        return 1
    arguments.graph.write_bytes(graph.SerializeToString(deterministic=True))
    return 0


def end_with(parent_pid: int) -> None:
    """Has the kernel kill this process when the thread that started it ends, and looks whether that is too late."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot set the parent death signal")
    if os.getppid() != parent_pid:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
