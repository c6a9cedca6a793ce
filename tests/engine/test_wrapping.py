"""Pictures that tile: both engines wrap convolutions around as diffusers' own do that are told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from tests.conftest import CACHE
from tests.engine.wrapped import wrapped
from tests.tiny import replace_weights
from triptych.checkpoint import Architecture, Checkpoint
from triptych.contract import UNET, VAE_DECODER, VAE_ENCODER
from triptych.engine import EngineSettings, load_engine
from triptych.engine.cache.artifacts import REQUEST_FILE, SHIPPED, read_graph
from triptych.engine.onnxruntime.exchange import free_vectors, free_weights
from triptych.engine.port import Array, Engine
from triptych.engine.rewriting.wrapping import wrap_convolutions
from triptych.errors import FailedPreconditionError
from triptych.lora.parameters import exchangeable

SETTINGS = EngineSettings(threads=2, cache_dir=CACHE)
ENGINES = ("onnxruntime", "torch")
MODELS = (UNET.name, VAE_DECODER.name, VAE_ENCODER.name)


def inputs_of(model: str, width: int = 12) -> dict[str, Array]:
    """Two samples of 8 rows of latents."""
    random = np.random.default_rng(3)
    latents = random.standard_normal((2, 4, 8, width), np.float32)
    if model == VAE_ENCODER.name:
        return {"image": random.uniform(-1, 1, (2, 3, 64, 8 * width)).astype(np.float32)}
    if model == VAE_DECODER.name:
        return {"latents": latents}
    states = random.standard_normal((2, 77, 32), np.float32)
    return {"latents": latents, "timestep": np.array([10, 500], np.float32), "encoder_hidden_states": states}


def expected(folder: Path, model: str, axes: str, inputs: dict[str, Array]) -> Array:
    tensors: Any = {name: torch.from_numpy(array) for name, array in inputs.items()}
    kind: Any = UNet2DConditionModel if model == UNET.name else AutoencoderKL
    whole = kind.from_pretrained(folder / ("unet" if model == UNET.name else "vae")).eval()
    with torch.no_grad(), wrapped(axes, whole):
        if model == UNET.name:
            made = whole(tensors["latents"], tensors["timestep"], tensors["encoder_hidden_states"]).sample
        elif model == VAE_DECODER.name:
            made = whole.decode(tensors["latents"]).sample
        else:
            made = whole.encode(tensors["image"]).latent_dist.parameters
    result: Array = made.numpy()
    return result


def only(outputs: dict[str, Array]) -> Array:
    (array,) = outputs.values()
    return array


def loaded(engine: str, folder: Path, model: str) -> Engine:
    return load_engine(engine, Checkpoint.open(folder).components[model], SETTINGS)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", MODELS)
def test_as_diffusers(checkpoints: dict[str, Path], engine: str, model: str) -> None:
    folder, inputs = checkpoints["sd1"], inputs_of(model)
    one = loaded(engine, folder, model)
    plain = only(one.infer(inputs))
    for axes in ("x", "y", "xy"):
        ours = only(one.infer_wrapped(inputs, axes))
        np.testing.assert_allclose(ours, expected(folder, model, axes, inputs), atol=2e-5, rtol=1e-4)
        assert np.abs(ours - plain).max() > 0.1
    np.testing.assert_array_equal(only(one.infer(inputs)), plain)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_picture_has_no_edge(checkpoints: dict[str, Path], engine: str) -> None:
    """Latents moved along come back as the same picture moved along, over the edge."""
    for model, scale in ((UNET.name, 1), (VAE_DECODER.name, 8)):
        one, inputs = loaded(engine, checkpoints["sd1"], model), inputs_of(model)
        moved = inputs | {"latents": np.roll(inputs["latents"], 4, axis=3)}
        ours, theirs = (only(one.infer_wrapped(each, "x")) for each in (inputs, moved))
        np.testing.assert_allclose(np.roll(ours, 4 * scale, axis=3), theirs, atol=2e-5, rtol=1e-4)
        assert np.abs(np.roll(only(one.infer(inputs)), 4 * scale, axis=3) - only(one.infer(moved))).max() > 0.1


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_are_exchanged_in_both(checkpoints: dict[str, Path], engine: str) -> None:
    one, inputs = loaded(engine, checkpoints["sd1"], UNET.name), inputs_of(UNET.name)
    before = only(one.infer_wrapped(inputs, "xy"))
    component = Checkpoint.open(checkpoints["sd1"]).components[UNET.name]
    name = next(name for name in sorted(exchangeable(component)) if name == "conv_in.weight")
    shape = component.weights[name].shape
    one.refit({name: np.random.default_rng(1).standard_normal(shape, np.float32)})
    changed = only(one.infer_wrapped(inputs, "xy"))
    np.testing.assert_array_equal(changed, only(one.infer_wrapped(inputs, "xy")))
    assert np.abs(changed - before).max() > 0.1
    one.refit({name: None})
    np.testing.assert_array_equal(only(one.infer_wrapped(inputs, "xy")), before)


@pytest.mark.parametrize("model", [UNET.name, VAE_DECODER.name])
def test_weights_are_those_of_the_load(checkpoints: dict[str, Path], tmp_path: Path, model: str) -> None:
    """Though another file has the name by the time that a picture tiles."""
    import shutil

    folder = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "sd1"))
    one, inputs = loaded("onnxruntime", folder, model), inputs_of(model)
    theirs = expected(folder, model, "xy", inputs)
    part = "unet" if model == UNET.name else "vae"
    replace_weights(folder / part / "diffusion_pytorch_model.safetensors")
    np.testing.assert_allclose(only(one.infer_wrapped(inputs, "xy")), theirs, atol=2e-5, rtol=1e-4)


def test_of_every_shipped_graph_all_weights_can_be_bound() -> None:
    """None is left to be read from a file that may be another by then."""
    for folder in sorted(SHIPPED.iterdir()):
        architecture = Architecture.from_canonical((folder / REQUEST_FILE).read_text())
        if architecture.model not in MODELS:
            continue
        graph = onnx.load_model_from_string(read_graph(folder / "graph.onnx.gz"))
        convolutions = sum(node.op_type == "Conv" for node in graph.graph.node)
        assert convolutions / 2 < wrap_convolutions(graph, "xy") < convolutions
        free_weights(graph), free_vectors(graph)
        external = onnx.TensorProto.EXTERNAL
        assert not [each.name for each in graph.graph.initializer if each.data_location == external]


def test_an_engine_that_cannot_says_so() -> None:
    class Plain(Engine):
        load = infer = refit = None  # type: ignore[assignment]

    with pytest.raises(FailedPreconditionError, match="engine onnxruntime or torch"):
        Plain.infer_wrapped(None, {}, "x")  # type: ignore[arg-type]
