"""Weights in half precision stay in their file: the engine widens them as it needs them, to the same bits."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import CACHE
from tests.engine.test_engines import inputs_of, misaligned
from triptych.checkpoint import Architecture, Checkpoint
from triptych.contract import ENCODER, UNET, VAE_DECODER
from triptych.engine import EngineSettings, load_engine
from triptych.engine.cache.artifacts import ensure_graph

SETTINGS = EngineSettings(threads=2, cache_dir=CACHE)
FOLDERS = {ENCODER.name: "text_encoder", UNET.name: "unet", VAE_DECODER.name: "vae"}
# 101 million parameters: 403 MB as float32.
LARGE = Architecture.of(
    "encoder",
    "CLIPTextModel",
    {"vocab_size": 1000, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 8},
)
WIDENED_BYTES = 400_000_000
# Says by how much a load and a run make the process's own memory grow.
GROWTH = """
import re, sys
from pathlib import Path
import numpy as np
from triptych.checkpoint import Architecture, Component
from triptych.checkpoint.weights import read_weights
from triptych.engine import EngineSettings, load_engine

def own_bytes():
    status = Path("/proc/self/status").read_text()
    return sum(1024 * int(kilobytes) for kilobytes in re.findall(r"(?:RssAnon|RssShmem):\\s+(\\d+)", status))

folder = Path(sys.argv[1])
architecture = Architecture.from_canonical((folder / "architecture.json").read_text())
component = Component(folder, architecture, {}, read_weights(folder, architecture.class_name, folder))
load_engine(sys.argv[3], component, EngineSettings(1, Path(sys.argv[2])))  # imports what an engine needs
before = own_bytes()
engine = load_engine(sys.argv[3], component, EngineSettings(2, Path(sys.argv[2])))
inputs = {
    "inputs_embeds": np.random.default_rng(0).standard_normal((2, 77, 1024), np.float32),
    "pooled_position": np.array([5, 76]),
    "skip_layers": np.array([0, 1]),
    "final_norm": np.ones(2, bool),
}
states = engine.infer(inputs)["hidden_states"]
assert np.isfinite(states).all() and states.std() > 0.1, states.std()
print(own_bytes() - before)
"""


def converted(folder: Path, dtype: torch.dtype) -> None:
    for path in folder.rglob("*.safetensors"):
        save_file({name: tensor.to(dtype) for name, tensor in load_file(path).items()}, path)


@pytest.mark.parametrize("change", [lambda _path: None, misaligned])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("model", [ENCODER.name, UNET.name, VAE_DECODER.name])
@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_results_are_those_of_the_widened_file(
    checkpoints: dict[str, Path],
    tmp_path: Path,
    engine: str,
    model: str,
    dtype: torch.dtype,
    change: Callable[[Path], None],
) -> None:
    halves = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "halves"))
    converted(halves, dtype)
    widened = Path(shutil.copytree(halves, tmp_path / "widened"))
    converted(widened, torch.float32)
    (path,) = (halves / FOLDERS[model]).glob("*.safetensors")
    change(path)
    opened = [Checkpoint.open(folder) for folder in (halves, widened)]
    inputs = inputs_of(model, opened[0], 2, 9, 7)
    ours, theirs = (load_engine(engine, each.components[model], SETTINGS).infer(inputs) for each in opened)
    for name, array in theirs.items():
        assert array.std() > 0.01
        assert np.array_equal(ours[name], array)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_eight_bits_are_widened_as_they_are_loaded(
    checkpoints: dict[str, Path], tmp_path: Path, engine: str, dtype: torch.dtype
) -> None:
    eighths, widened = (Path(shutil.copytree(checkpoints["sd1"], tmp_path / name)) for name in ("eighths", "widened"))
    converted(eighths / "unet", dtype)
    shutil.copytree(eighths / "unet", widened / "unet", dirs_exist_ok=True)
    converted(widened / "unet", torch.float32)
    opened = [Checkpoint.open(folder).components[UNET.name] for folder in (eighths, widened)]
    inputs = inputs_of(UNET.name, Checkpoint.open(eighths), 2, 9, 7)
    ours, theirs = (load_engine(engine, each, SETTINGS).infer(inputs)["noise_pred"] for each in opened)
    assert theirs.std() > 0.01 and np.array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_they_are_not_copied_into_memory(tmp_path: Path, engine: str, dtype: torch.dtype) -> None:
    from triptych.engine.modules import build_module, parameter_names

    names = parameter_names(module := build_module(LARGE))
    shapes = {names[name]: parameter.shape for name, parameter in module.named_parameters()}
    tensors = {
        name: torch.full(shape, 1.0 if len(shape) == 1 else 0.01, dtype=dtype).contiguous()
        for name, shape in shapes.items()
    }
    assert 4 * sum(tensor.numel() for tensor in tensors.values()) > WIDENED_BYTES
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "architecture.json").write_text(LARGE.canonical())
    ensure_graph(LARGE, CACHE)
    command = [sys.executable, "-c", GROWTH, str(tmp_path), str(CACHE), engine]
    grown = int(subprocess.run(command, check=True, timeout=120, stdout=subprocess.PIPE).stdout)
    assert grown < WIDENED_BYTES / 3
