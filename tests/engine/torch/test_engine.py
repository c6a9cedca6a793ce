"""The torch engine: devices, precisions, and weights exchanged in place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import ENCODER, UNET, VAE_DECODER, VAE_ENCODER
from triptych.engine import EngineSettings
from triptych.engine.port import Array
from triptych.engine.torch.engine import TorchEngine, round_factors
from triptych.engine.weights import float32_weights
from triptych.errors import FailedPreconditionError, InvalidArgumentError

SETTINGS = EngineSettings(threads=2, cache_dir=CACHE)
MODELS = (ENCODER.name, UNET.name, VAE_DECODER.name, VAE_ENCODER.name)
cuda = pytest.param("cuda:0", marks=pytest.mark.cuda)


def inputs_of(model: str) -> dict[str, Array]:
    random = np.random.default_rng(0)
    if model == ENCODER.name:
        return {
            "inputs_embeds": random.standard_normal((2, 77, 32), dtype=np.float32),
            "pooled_position": np.array([3, 76]),
            "skip_layers": np.array([0, 1]),
            "final_norm": np.array([True, False]),
        }
    latents = random.standard_normal((2, 4, 7, 6), dtype=np.float32)
    if model == VAE_DECODER.name:
        return {"latents": latents}
    if model == VAE_ENCODER.name:
        return {"image": random.uniform(-1, 1, (2, 3, 56, 48)).astype(np.float32)}
    states = random.standard_normal((2, 77, 32), dtype=np.float32)
    return {"latents": latents, "timestep": np.array([3, 977], np.float32), "encoder_hidden_states": states}


def joined(outputs: Mapping[str, Array]) -> npt.NDArray[np.float32]:
    """All outputs side by side, [B, values]."""
    assert {array.dtype.name for array in outputs.values()} == {"float32"}
    return np.concatenate([array.reshape(len(array), -1).astype(np.float32) for array in outputs.values()], axis=1)


def output(engine: TorchEngine, model: str) -> npt.NDArray[np.float32]:
    return joined(engine.infer(inputs_of(model)))


def component_of(checkpoints: dict[str, Path], model: str) -> Component:
    return Checkpoint.open(checkpoints["sd1"]).components[model]


def needs(device: str) -> None:
    if device != "cpu" and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")


@pytest.mark.parametrize("device", ["cpu", cuda])
@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.01), ("fp32", 1e-3)])
@pytest.mark.parametrize("model", MODELS)
def test_precisions_are_near_float32(
    checkpoints: dict[str, Path], model: str, precision: str, tolerance: float, device: str
) -> None:
    needs(device)
    if (device, precision) == ("cpu", "fp16"):
        pytest.skip("refused")
    component = component_of(checkpoints, model)
    expected = output(TorchEngine.load(component, SETTINGS), model)
    actual = output(TorchEngine.load(component, EngineSettings(2, CACHE, device, precision)), model)
    assert np.linalg.norm(actual - expected) < tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("device", ["cpu", cuda])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model", MODELS)
def test_fifty_refits_leave_no_trace(checkpoints: dict[str, Path], model: str, precision: str, device: str) -> None:
    needs(device)
    component = component_of(checkpoints, model)
    engine = TorchEngine.load(component, EngineSettings(2, CACHE, device, precision))
    untouched = output(engine, model)
    names = [name for name in component.weights if name in engine._parameters]
    random = np.random.default_rng(1)
    for _ in range(50):
        chosen = random.choice(names, 4, replace=False).tolist()
        originals = dict(float32_weights(component, chosen))
        noise = {name: array + random.standard_normal(array.shape) * 0.1 for name, array in originals.items()}
        engine.refit({name: a.astype(np.float32) if random.random() < 0.7 else None for name, a in noise.items()})
    assert not np.array_equal(output(engine, model), untouched)
    engine.refit(dict.fromkeys(names))
    assert np.array_equal(output(engine, model), untouched)


def test_a_refit_is_the_checkpoint_with_those_weights(checkpoints: dict[str, Path]) -> None:
    component = component_of(checkpoints, UNET.name)
    engine, reference = TorchEngine.load(component, SETTINGS), TorchEngine.load(component, SETTINGS)
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    doubled = {key: 2 * array for key, array in float32_weights(component, [name])}
    engine.refit(doubled)
    with torch.no_grad():
        reference._parameters[name].mul_(2)
    assert np.array_equal(output(engine, UNET.name), output(reference, UNET.name))


def test_a_wrong_refit_changes_nothing(checkpoints: dict[str, Path]) -> None:
    component = component_of(checkpoints, UNET.name)
    engine = TorchEngine.load(component, SETTINGS)
    untouched = output(engine, UNET.name)
    good = {"conv_in.weight": np.zeros((16, 4, 3, 3), np.float32)}
    for bad, message in (
        ({"conv_in.wait": None}, "conv_in.wait: is no weight"),
        ({"conv_norm_out.wait": None}, "conv_norm_out.wait: is no weight or bias of a layer that can be exchanged"),
        ({"conv_out.weight": np.zeros((4, 16), np.float32)}, r"conv_out.weight: must be float32 \(4, 16, 3, 3\)"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            engine.refit({**good, **bad})
    assert np.array_equal(output(engine, UNET.name), untouched)


def test_float32_is_whole_on_a_gpu_too_but_in_the_place_of_float16(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    component = component_of(checkpoints, ENCODER.name)
    for tf32 in (False, True):
        TorchEngine.load(component, EngineSettings(2, CACHE, tf32=tf32))
        assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is tf32
    round_factors(False)


def test_a_batch_that_is_too_large_for_the_memory_is_halved(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TorchEngine.load(component_of(checkpoints, UNET.name), SETTINGS)
    whole = output(engine, UNET.name)
    module = engine._module

    def small(**inputs: torch.Tensor) -> torch.Tensor:
        if len(inputs["latents"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        answer: torch.Tensor = module(**inputs)
        return answer

    monkeypatch.setattr(engine, "_module", small)
    assert np.allclose(output(engine, UNET.name), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("cpu", "fp16", "fp16 is for GPUs"),
        ("cpu", "int8", "not one of fp32, fp16, bf16"),
        ("tpu", "fp32", "neither cpu nor cuda"),
        ("cuda", "fp32", "neither cpu nor cuda"),
    ],
)
def test_settings_that_cannot_be(checkpoints: dict[str, Path], device: str, precision: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        TorchEngine.load(component_of(checkpoints, ENCODER.name), EngineSettings(2, CACHE, device, precision))


def test_a_gpu_that_is_not_there(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(FailedPreconditionError, match="there is no cuda:99"):
        TorchEngine.load(component_of(checkpoints, ENCODER.name), EngineSettings(2, CACHE, "cuda:99"))


def test_compiling_is_asked_for(monkeypatch: pytest.MonkeyPatch, checkpoints: dict[str, Path]) -> None:
    asked = []
    monkeypatch.setattr(torch, "compile", lambda module, dynamic: asked.append(dynamic) or module)
    component = component_of(checkpoints, ENCODER.name)
    TorchEngine.load(component, SETTINGS)
    assert not asked
    monkeypatch.setenv("TRIPTYCH_TORCH_COMPILE", "1")
    TorchEngine.load(component, SETTINGS)
    assert asked == [True]
