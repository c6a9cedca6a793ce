"""Writes what TensorRT's Python bindings offer: names and arguments of what the package uses, for tests without a GPU.

pip download --no-deps tensorrt-cu12-bindings==10.13.3.9 && unzip tensorrt_cu12_bindings-*.whl -d bindings
python tools/tensorrt_names.py bindings 10.13 tests/engine/tensorrt/standin/names_10_13.json

The bindings are imported over libraries that are empty but for their names, so that neither TensorRT nor a GPU is
needed; a C compiler is.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CLASSES = (
    "Builder",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProgressMonitor",
    "ITimingCache",
    "OnnxParser",
    "Refitter",
    "Runtime",
    "Weights",
)
ENUMS = (
    "BuilderFlag",
    "DataType",
    "ExecutionContextAllocationStrategy",
    "NetworkDefinitionCreationFlag",
    "PreviewFeature",
    "TensorIOMode",
    "TensorLocation",
)
_LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin")
_ENTRIES = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)


def read_names(module: Any, version: str) -> dict[str, Any]:
    """The names of one version."""
    classes = {name: _class_names(getattr(module, name)) for name in CLASSES}
    enums = {name: sorted(getattr(module, name).__members__) for name in ENUMS}
    return {"version": version, "classes": classes, "enums": enums}


def _class_names(kind: Any) -> dict[str, Any]:
    methods, properties = {}, {}
    for name in sorted(dir(kind)):
        member = getattr(kind, name)
        if isinstance(member, property):
            properties[name] = "settable" if member.fset else "readable"
        elif callable(member) and (name == "__init__" or not name.startswith("_")):
            methods[name] = _signatures(name, member.__doc__ or "")
    return {"methods": methods, "properties": properties}


def _signatures(name: str, docstring: str) -> str:
    """The names of each overload's arguments; one that may be left out ends in "="."""
    found = re.findall(rf"^(?:\d+\. )?{re.escape(name)}\((.*)\)(?: -> .*)?$", docstring, re.MULTILINE)
    overloads = [", ".join(_arguments(text)) for text in found if text != "*args, **kwargs"]
    return " | ".join(dict.fromkeys(overloads))


def _arguments(text: str) -> list[str]:
    """Cuts at the commas that stand in no bracket."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "[(<") - (sign in "])>")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    names = [(part.partition(":")[0].strip(), "=" in part) for part in parts if part.strip()]
    return [name + "=" * optional for name, optional in names if name != "self"]


def _with_empty_libraries(bindings: Path, version: str) -> str:
    """Runs this file once more with libraries to load."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.c"
        source.write_text("".join(f"void *{entry}(void) {{ return 0; }}\n" for entry in _ENTRIES))
        for library in _LIBRARIES:
            file = f"lib{library}.so.{version.partition('.')[0]}"
            command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{file}", "-o", str(Path(folder) / file), str(source)]
            subprocess.run(command, check=True)
        environment = os.environ | {"LD_LIBRARY_PATH": folder, "PYTHONPATH": str(bindings / "tensorrt_bindings")}
        command = [sys.executable, __file__, str(bindings), version]
        return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    """Reads the bindings in a process of their own, and writes what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bindings", type=Path, help="an unpacked wheel of TensorRT's bindings")
    parser.add_argument("version", help="such as 10.13")
    parser.add_argument("output", type=Path, nargs="?", help="the file to write (default: standard output)")
    arguments = parser.parse_args()
    if arguments.output:
        arguments.output.write_text(_with_empty_libraries(arguments.bindings.resolve(), arguments.version))
        return 0
    names = read_names(importlib.import_module("tensorrt"), arguments.version)
    sys.stdout.write(json.dumps(names, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
