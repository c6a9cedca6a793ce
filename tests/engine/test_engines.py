"""The two engines agree, however a checkpoint's weights are stored."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from tests import tiny
from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint
from triptych.contract import ENCODER, LORA_MODELS, UNET, VAE_DECODER, VAE_ENCODER
from triptych.engine import EngineSettings, load_engine
from triptych.engine.cache.artifacts import ensure_graph
from triptych.engine.onnxruntime.attention import fuse_attention
from triptych.engine.port import Array
from triptych.engine.weights import held_weights
from triptych.errors import CheckpointInvalidError
from triptych.lora.parameters import exchangeable

SETTINGS = EngineSettings(threads=2, cache_dir=CACHE)
UNET_FILE = Path("unet") / "diffusion_pytorch_model.safetensors"


def halved(path: Path) -> None:
    """Every second tensor as float16, the rest as it was."""
    tensors = load_file(path)
    save_file({name: t.half() if i % 2 else t for i, (name, t) in enumerate(tensors.items())}, path)


def brain_floats(path: Path) -> None:
    save_file({name: tensor.bfloat16() for name, tensor in load_file(path).items()}, path)


def doubled(path: Path) -> None:
    save_file({name: tensor.double() for name, tensor in load_file(path).items()}, path)


def misaligned(path: Path) -> None:
    """A header one byte longer, so that no tensor starts at a multiple of four."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length] + b" "
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])


def linked(path: Path) -> None:
    """A link to elsewhere in the checkpoint."""
    blob = path.parent.parent / "blob"
    shutil.move(path, blob)
    path.symlink_to(blob)


def inputs_of(model: str, checkpoint: Checkpoint, batch: int, height: int, width: int) -> dict[str, Array]:
    random = np.random.default_rng(batch)
    if model == ENCODER.name:
        config = checkpoint.components[model].architecture.config
        return {
            "inputs_embeds": random.standard_normal((batch, checkpoint.tokens, config["hidden_size"]), np.float32),
            "pooled_position": random.integers(0, checkpoint.tokens, batch),
            "skip_layers": random.integers(0, config["num_hidden_layers"] + 1, batch),
            "final_norm": random.integers(0, 2, batch).astype(np.bool_),
        }
    latents = random.standard_normal((batch, checkpoint.latent_channels, height, width), np.float32)
    if model == VAE_DECODER.name:
        return {"latents": latents}
    if model == VAE_ENCODER.name:
        return {"image": random.uniform(-1, 1, (batch, 3, height * 8, width * 8)).astype(np.float32)}
    hidden = checkpoint.components[UNET.name].architecture.config["cross_attention_dim"]
    return {
        "latents": latents,
        "timestep": random.uniform(0, 999, batch).astype(np.float32),
        "encoder_hidden_states": random.standard_normal((batch, checkpoint.tokens, hidden), np.float32),
    }


def assert_engines_agree(checkpoint: Checkpoint, model: str, *sizes: tuple[int, int, int]) -> None:
    component = checkpoint.components[model]
    fast, reference = (load_engine(name, component, SETTINGS) for name in ("onnxruntime", "torch"))
    for batch, height, width in sizes:
        inputs = inputs_of(model, checkpoint, batch, height, width)
        ours, theirs = fast.infer(inputs), reference.infer(inputs)
        assert ours.keys() == theirs.keys()
        for name, array in theirs.items():
            assert array.std() > 0.01
            np.testing.assert_allclose(ours[name], array, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("model", [ENCODER.name, UNET.name, VAE_DECODER.name, VAE_ENCODER.name])
@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_every_size_and_batch(checkpoints: dict[str, Path], family: str, model: str) -> None:
    assert_engines_agree(Checkpoint.open(checkpoints[family]), model, (1, 8, 8), (2, 9, 13), (3, 16, 10))


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
@pytest.mark.parametrize("model", LORA_MODELS)
def test_whatever_a_lora_can_change_can_be_exchanged(sdxl: Path, model: str, engine: str) -> None:
    component = Checkpoint.open(sdxl).components[model]
    parameters = exchangeable(component)
    matrices = {name for name in parameters if len(component.weights[name].shape) > 1}
    assert {"encoder": 18, "encoder_2": 25, "unet": 174}[model] == len(matrices)
    assert component.weights.keys() - parameters == {name for name in component.weights if "_embedding.weight" in name}
    load_engine(engine, component, SETTINGS).refit(dict.fromkeys(parameters))


@pytest.mark.parametrize("model", [ENCODER.name, UNET.name])
@pytest.mark.parametrize("change", [None, halved])
def test_biases_and_norms_are_exchanged_and_come_back(
    checkpoints: dict[str, Path], tmp_path: Path, model: str, change: Callable[[Path], None] | None
) -> None:
    folder = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "sd1"))
    if change is not None:
        change(folder / UNET_FILE)
        change(folder / "text_encoder" / "model.safetensors")
    checkpoint = Checkpoint.open(folder)
    component, inputs = checkpoint.components[model], inputs_of(model, checkpoint, 2, 8, 8)
    names = [name for name in exchangeable(component) if len(component.weights[name].shape) == 1]
    others = {name: (array * 1.5 + 0.25).astype(array.dtype) for name, array in held_weights(component, names)}
    outputs = []
    for engine in (load_engine(name, component, SETTINGS) for name in ("onnxruntime", "torch")):
        before = {name: array.copy() for name, array in engine.infer(inputs).items()}
        engine.refit(others)
        outputs.append({name: array.copy() for name, array in engine.infer(inputs).items()})
        engine.refit(dict.fromkeys(others))
        for name, array in engine.infer(inputs).items():
            assert np.array_equal(array, before[name]) and abs(outputs[-1][name] - array).max() > 0.01
    for name, array in outputs[0].items():
        np.testing.assert_allclose(array, outputs[1][name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("change", [halved, brain_floats, doubled, misaligned, linked])
def test_every_way_to_store_weights(
    checkpoints: dict[str, Path], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "sd1"))
    change(folder / UNET_FILE)
    assert_engines_agree(Checkpoint.open(folder), UNET.name, (2, 8, 8))


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_a_missing_tensor_is_named(checkpoints: dict[str, Path], tmp_path: Path, engine: str) -> None:
    folder = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "sd1"))
    tensors = load_file(folder / UNET_FILE)
    del tensors["mid_block.resnets.0.conv1.weight"]
    save_file(tensors, folder / UNET_FILE)
    component = Checkpoint.open(folder).components[UNET.name]
    with pytest.raises(CheckpointInvalidError, match=r"mid_block\.resnets\.0\.conv1\.weight"):
        load_engine(engine, component, SETTINGS)


def test_the_unets_and_the_vaes_attention_is_fused(checkpoints: dict[str, Path]) -> None:
    checkpoint = Checkpoint.open(checkpoints["sd1"])
    for model, count in ((UNET.name, 8), (VAE_DECODER.name, 1), (VAE_ENCODER.name, 1)):
        graph = onnx.load_model(
            ensure_graph(checkpoint.components[model].architecture, CACHE), load_external_data=False
        )
        softmaxes = sum(node.op_type == "Softmax" for node in graph.graph.node)
        assert fuse_attention(graph) == softmaxes == count
        assert not any(node.op_type == "Softmax" for node in graph.graph.node)


def test_the_graph_holds_no_weights(checkpoints: dict[str, Path]) -> None:
    component = Checkpoint.open(checkpoints["sd1"]).components[UNET.name]
    path = ensure_graph(component.architecture, CACHE)
    graph = onnx.load_model(path, load_external_data=False)
    names = {t.name for t in graph.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL}
    assert names == set(component.weights)
    assert path.stat().st_size < 0.2 * sum(info.size_bytes for info in component.weights.values())


def test_onnxruntime_leaves_nothing_in_the_home_and_the_temporary_folder(tmp_path: Path) -> None:
    environment = os.environ | dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(tmp_path))
    environment.pop("ORT_DISABLE_TELEMETRY", None)  # set in this process when it imported the engines
    command = [sys.executable, "-c", "import triptych.engine.onnxruntime.engine"]
    subprocess.run(command, env=environment, check=True, timeout=60)
    assert not [*tmp_path.iterdir()]


def test_torch_is_told_how_many_threads(checkpoints: dict[str, Path]) -> None:
    load_engine("torch", Checkpoint.open(checkpoints["sd1"]).components[ENCODER.name], EngineSettings(1, CACHE))
    assert torch.get_num_threads() == 1
    torch.set_num_threads(2)


def test_a_unet_that_sees_a_picture_and_a_mask_beside_the_noise(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """Both engines agree with diffusers."""
    path = tiny.save_editing_checkpoint(tmp_path / "x", checkpoints["sd1"], "StableDiffusionInpaintPipeline", 9)
    checkpoint = Checkpoint.open(path)
    inputs = inputs_of(UNET.name, checkpoint, 2, 10, 12)
    inputs["latents"] = np.random.default_rng(1).standard_normal((2, 9, 10, 12), np.float32)
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    with torch.no_grad():
        theirs = UNet2DConditionModel.from_pretrained(path / "unet")(
            tensors["latents"], tensors["timestep"], tensors["encoder_hidden_states"]
        ).sample.numpy()
    for name in ("onnxruntime", "torch"):
        engine = load_engine(name, checkpoint.components[UNET.name], SETTINGS)
        np.testing.assert_allclose(engine.infer(inputs)["noise_pred"], theirs, atol=2e-5)
        engine.close()
