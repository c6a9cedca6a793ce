"""Renders the contract for Triton: `config.pbtxt` and `1/model.py` on disk, the same as JSON for loading over gRPC."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from triptych.contract.models import ModelSpec, TensorSpec

_HEADER = "# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.\n"


def _tensor(spec: TensorSpec, *, is_input: bool) -> dict[str, Any]:
    dims = [extent if isinstance(extent, int) else -1 for extent in spec.dims]
    # Triton's configuration has a name of its own for what KServe calls BYTES.
    kind = {"BYTES": "STRING"}.get(spec.datatype, spec.datatype)
    tensor: dict[str, Any] = {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": dims}
    return tensor | {"optional": True} if is_input and spec.optional else tensor


def model_config(spec: ModelSpec, parameters: Mapping[str, str], instance_kind: str = "KIND_CPU") -> dict[str, Any]:
    """Triton's ModelConfig as JSON-ready values; `parameters` reach the stage's model at load."""
    return {
        "backend": "python",
        "max_batch_size": spec.max_batch_size,
        "input": [_tensor(tensor, is_input=True) for tensor in spec.inputs],
        "output": [_tensor(tensor, is_input=False) for tensor in spec.outputs],
        "dynamic_batching": {"max_queue_delay_microseconds": spec.max_queue_delay_microseconds},
        "instance_group": [{"count": 1, "kind": instance_kind}],
        "parameters": {key: {"string_value": value} for key, value in parameters.items()},
    }


def config_pbtxt(spec: ModelSpec) -> str:
    """`config.pbtxt` of a model without a checkpoint: the `checkpoint` parameter is left for the operator to fill."""
    config = model_config(spec, {"checkpoint": "", "engine": "onnxruntime"})
    return _HEADER + f'name: "{spec.name}"\n' + "".join(_field(name, value) for name, value in config.items())


def _field(name: str, value: Any, indent: str = "") -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "".join(_field(name, item, indent) for item in value)
    if name == "parameters":
        entries = (
            f'parameters {{ key: "{k}" value {{ string_value: "{v["string_value"]}" }} }}' for k, v in value.items()
        )
        return "".join(entry + "\n" for entry in entries)
    if isinstance(value, dict):
        inner = "".join(_field(key, item, indent + "  ") for key, item in value.items())
        return f"{indent}{name} {{\n{inner}{indent}}}\n"
    enum = isinstance(value, str) and value.startswith(("TYPE_", "KIND_"))
    return f"{indent}{name}: {value if enum else json.dumps(value)}\n"


def stop_shim() -> str:
    """`1/model.py` of what ends the export that another model's load waits for."""
    return f"{_HEADER}from triptych.stage.stopping import StopExport as TritonPythonModel\n"


def model_shim(spec: ModelSpec) -> str:
    """`1/model.py`: the class that Triton's Python backend looks for, imported from the stage's package."""
    module, _, name = spec.implementation.rpartition(".")
    return (
        f"{_HEADER}"
        f'"""Triton model `{spec.name}` of the {spec.stage} stage; the work is in `{module}`."""\n\n'
        "import gc\n\n"
        "gc.disable()  # what is imported stays, and is never walked in search of garbage\n\n"
        f"from {module} import {name} as TritonPythonModel  # noqa: E402\n\n"
        "gc.freeze()\n"
        "gc.enable()\n\n"
        '__all__ = ["TritonPythonModel"]\n'
    )
