"""What a UNet is conditioned on, kept by name under one key, whatever the architecture takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from triptych.checkpoint import Architecture
from triptych.engine.conditions import conditioning_dims
from triptych.errors import InvalidArgumentError, NotFoundError
from triptych_unet.conditioning import ConditioningStore
from triptych_unet.model import UNetModel

PLAIN = Architecture("unet", "UNet2DConditionModel", {"in_channels": 4, "out_channels": 4, "cross_attention_dim": 6})
INPAINTING = Architecture("unet", "UNet2DConditionModel", {**PLAIN.config, "in_channels": 9})
ADDED = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 53}
EXTENDED = Architecture("unet", "UNet2DConditionModel", {**PLAIN.config, **ADDED})


def model_of(architecture: Architecture) -> UNetModel:
    model = UNetModel()
    model.store = ConditioningStore(10_000, 60)
    model.component = SimpleNamespace(architecture=architecture, latent_size=(8, 8))  # type: ignore[assignment]
    model.device = "cpu"
    return model


def step(keys: list[int], **brought: Any) -> dict[str, np.ndarray]:
    return {
        "latents": np.zeros((len(keys), 4, 8, 8), np.float32),
        "timestep": np.ones((len(keys), 1), np.float32),
        "conditioning_key": np.array([[key] * 16 for key in keys], np.uint8),
        **brought,
    }


def tensors(samples: int, tokens: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(samples)
    shapes = {"encoder_hidden_states": (tokens, 6), "text_embeds": (5,), "time_ids": (6,)}
    return {name: random.standard_normal((samples, *shape), np.float32) for name, shape in shapes.items()}


def test_the_architecture_says_what_it_takes() -> None:
    assert conditioning_dims(PLAIN) == {"encoder_hidden_states": ("tokens", 6)}
    assert conditioning_dims(EXTENDED) == {
        "encoder_hidden_states": ("tokens", 6),
        "text_embeds": (5,),
        "time_ids": (6,),
    }
    warm_up = model_of(EXTENDED).warm_up_inputs(SimpleNamespace(tokens=7))  # type: ignore[arg-type]
    assert {name: array.shape for name, array in warm_up.items()} == {
        "latents": (1, 4, 2, 4),
        "timestep": (1,),
        "encoder_hidden_states": (1, 7, 6),
        "text_embeds": (1, 5),
        "time_ids": (1, 6),
    }


def test_all_tensors_are_kept_under_one_key() -> None:
    model, brought = model_of(EXTENDED), tensors(2)
    first = model.prepare(step([1, 2], **brought))
    again = model.prepare(step([2, 1, 2]))
    assert first.keys() == again.keys() == {"latents", "timestep", *brought}
    for name, array in brought.items():
        assert np.array_equal(first[name], array) and np.array_equal(again[name], array[[1, 0, 1]])
    with pytest.raises(NotFoundError, match=r"conditioning .* is not held here"):
        model.prepare(step([1, 3]))


def test_tensors_that_the_unet_lacks_or_does_not_take() -> None:
    brought = tensors(1)
    with pytest.raises(
        InvalidArgumentError, match="text_embeds: is none of what this UNet takes: encoder_hidden_states"
    ):
        model_of(PLAIN).prepare(step([1], **brought))
    del brought["time_ids"]
    with pytest.raises(
        InvalidArgumentError, match="time_ids: is missing: this UNet takes encoder_hidden_states, text_em"
    ):
        model_of(EXTENDED).prepare(step([1], **brought))
    brought["time_ids"] = np.zeros((1, 5), np.float32)
    with pytest.raises(InvalidArgumentError, match="time_ids: must be 6 wide, is 5"):
        model_of(EXTENDED).prepare(step([1], **brought))


def test_one_request_with_conditionings_of_unlike_length() -> None:
    model = model_of(EXTENDED)
    for key, tokens in ((1, 3), (2, 4)):
        model.prepare(step([key], **tensors(1, tokens)))
    with pytest.raises(InvalidArgumentError, match=r"conditioning_key: .* of one shape"):
        model.prepare(step([1, 2]))


def test_what_is_seen_beside_the_latents_is_kept_and_laid_after_them() -> None:
    model, random = model_of(INPAINTING), np.random.default_rng(0)
    states, seen = (random.standard_normal(shape, np.float32) for shape in ((2, 3, 6), (2, 5, 8, 8)))
    first = model.prepare(step([1, 2], encoder_hidden_states=states, image_latents=seen))
    again = model.prepare({**step([2, 1]), "latents": random.standard_normal((2, 4, 8, 8), np.float32)})
    assert first.keys() == again.keys() == {"latents", "timestep", "encoder_hidden_states"}
    assert not first["latents"][:, :4].any() and again["latents"][:, :4].any()
    assert np.array_equal(first["latents"][:, 4:], seen) and np.array_equal(again["latents"][:, 4:], seen[::-1])
    assert model.warm_up_inputs(SimpleNamespace(tokens=7))["latents"].shape == (1, 9, 2, 4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("architecture", "shape", "problem"),
    [
        (PLAIN, (4, 8, 8), "image_latents: is none of what this UNet takes: encoder_hidden_states"),
        (INPAINTING, None, "image_latents: is missing: this UNet takes encoder_hidden_states, image_latents"),
        (INPAINTING, (4, 8, 8), "image_latents: has 4 channels, must have 5"),
        (INPAINTING, (5, 8, 9), "image_latents: is 8 x 9, must be as the latents are, 8 x 8"),
    ],
)
def test_what_cannot_lie_beside_the_latents(
    architecture: Architecture, shape: tuple[int, ...] | None, problem: str
) -> None:
    brought = {"image_latents": np.zeros((1, *shape), np.float32)} if shape else {}
    model = model_of(architecture)
    with pytest.raises(InvalidArgumentError, match=problem):
        model.prepare(step([1], encoder_hidden_states=np.zeros((1, 3, 6), np.float32), **brought))
    if shape == (5, 8, 9):  # it is kept by now
        with pytest.raises(InvalidArgumentError, match=problem):
            model.prepare(step([1]))


def test_latents_that_bring_what_lies_beside_them() -> None:
    with pytest.raises(InvalidArgumentError, match="latents: has 9 channels, must have 4"):
        model_of(INPAINTING).prepare({**step([1]), "latents": np.zeros((1, 9, 8, 8), np.float32)})
