"""An IP-Adapter's image encoder, and the UNet that looks at a picture, by each engine, against diffusers'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from tests.conftest import CACHE
from tests.e2e.ip_adapters.making import IMAGE_SIZE, KINDS, save_ip_adapter
from tests.session.graphs import fill_cache
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.ip_adapter import image_attentions, misfit
from triptych.contract import IMAGE_ENCODER, UNET
from triptych.engine import EngineSettings, load_engine
from triptych.engine.port import Array, Engine
from triptych.engine.weights import float32_weights
from triptych.errors import FailedPreconditionError

GENERATOR = np.random.default_rng(0)
LATENTS, STATES = (GENERATOR.standard_normal(shape).astype(np.float32) for shape in ((2, 4, 9, 12), (2, 77, 32)))
PIXELS = GENERATOR.standard_normal((2, 3, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)
COMMON: dict[str, Array] = {
    "latents": LATENTS, "timestep": np.array([500, 20], np.float32), "encoder_hidden_states": STATES,
}  # fmt: skip
SCALE = 0.7


@pytest.fixture(scope="module")
def adapters(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of each kind."""
    folder = tmp_path_factory.mktemp("ip-adapters")
    paths = {kind: save_ip_adapter(folder, checkpoints["sd1"], kind) for kind in KINDS}
    fill_cache(CACHE, [checkpoints["sd1"], *paths.values()])
    return paths


@pytest.mark.parametrize(
    ("kind", "engine"),
    [
        pytest.param(kind, engine, marks=[pytest.mark.slow] if engine == "torch" and kind != "plus" else [])
        for kind in KINDS
        for engine in ("onnxruntime", "torch")
    ],
)
def test_tokens_and_what_the_unet_makes_of_them(
    checkpoints: dict[str, Path], adapters: dict[str, Path], kind: str, engine: str
) -> None:
    settings = EngineSettings(2, CACHE)
    adapter = Checkpoint.open(adapters[kind]).components[IMAGE_ENCODER.name]
    unet = Checkpoint.open(checkpoints["sd1"]).components[UNET.name]
    assert misfit(adapter, unet) == ""
    shown = np.array([1, 0], np.float32)
    tokens = load_engine(engine, adapter, settings).infer({"image": PIXELS, "shown": shown})["tokens"]
    wanted, prediction = theirs(checkpoints["sd1"], adapters[kind])
    np.testing.assert_allclose(tokens, wanted, atol=2e-5, rtol=1e-4)
    whole = load_engine(engine, unet, settings)
    plain = whole.infer(COMMON)["noise_pred"]
    ours = whole.infer(COMMON | {"image_prompt": prompt_of(adapter, tokens)})["noise_pred"]
    np.testing.assert_allclose(ours, prediction, atol=2e-5, rtol=1e-4)
    assert np.abs(plain - ours).max() > 0.01
    np.testing.assert_array_equal(whole.infer(COMMON)["noise_pred"], plain)


def prompt_of(adapter: Any, tokens: Array) -> Array:
    """Keys and values of all layers side by side."""
    pairs = image_attentions(adapter)
    matrices = dict(float32_weights(adapter, [name for pair in pairs for name in pair]))
    sides = [np.concatenate([tokens @ matrices[pair[side]].T for pair in pairs], axis=-1) for side in range(2)]
    return np.stack([sides[0], np.float32(SCALE) * sides[1]], axis=1)


def theirs(checkpoint: Path, file: Path) -> tuple[Array, Array]:
    """diffusers' tokens of the first picture, and those in the place of the second; and the UNet's prediction."""
    pipe = StableDiffusionPipeline.from_pretrained(checkpoint)
    pipe.load_ip_adapter(file.parent, subfolder="", weight_name=file.name)
    pipe.set_ip_adapter_scale(SCALE)
    (layer,) = pipe.unet.encoder_hid_proj.image_projection_layers
    with torch.no_grad():
        by_states = type(layer).__name__ != "ImageProjection"
        seen, unseen = pipe.encode_image(torch.tensor(PIXELS[:1]), "cpu", 1, by_states)
        embeds = torch.cat([seen, unseen])[:, None]
        tokens = layer(embeds[:, 0])
        inputs = [torch.tensor(array) for array in COMMON.values()]
        prediction = pipe.unet(*inputs, added_cond_kwargs={"image_embeds": [embeds]}).sample
    return tokens.numpy(), prediction.numpy()


def test_an_engine_that_cannot_says_so() -> None:
    class Plain(Engine):
        load = infer = refit = None  # type: ignore[assignment]

    with pytest.raises(FailedPreconditionError, match="takes no IP-Adapter; register the checkpoint with"):
        Plain.prepare_image_prompt(None)  # type: ignore[arg-type]
