"""What `import triptych` gives and what it must not pull in."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module
from types import FunctionType

import pytest

import triptych
from triptych.sdk import AsyncClient, Client

SERVER_ONLY = {"torch", "numpy", "onnxruntime", "onnx", "tritonclient", "diffusers", "transformers", "safetensors"}


@pytest.mark.parametrize("module", ["triptych", "triptych.sdk", "triptych.wire.status", "triptych.cli.main"])
def test_imports_no_server_package(module: str) -> None:
    code = f"import sys; before = {{*sys.modules}}; import {module}; print(*sys.modules.keys() - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not loaded & SERVER_ONLY
    if module == "triptych":
        assert not loaded & {"grpc", "PIL", "google.protobuf", "typing"}


def test_exported_names() -> None:
    assert triptych.Client is Client
    assert triptych.AsyncClient is AsyncClient
    assert issubclass(triptych.errors.NotFoundError, triptych.TriptychError)
    assert set(triptych.__all__) <= set(dir(triptych))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = triptych.nothing


def test_no_subpackage_hides_an_exported_name() -> None:
    submodules = {module.name for module in pkgutil.iter_modules(triptych.__path__)}
    assert submodules & set(triptych.__all__) == {"errors"}


def test_local_stays_the_function() -> None:
    assert isinstance(triptych.local, FunctionType)
    for module in pkgutil.iter_modules(triptych.__path__, "triptych."):
        if module.name.rpartition(".")[2] in ("cli", "embedded", "sdk"):
            import_module(module.name)
    import_module("triptych.cli.main")
    assert isinstance(triptych.local, FunctionType)
