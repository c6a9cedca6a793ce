"""The sizes an engine is built for, and what happens outside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import ENCODER, UNET, VAE_DECODER
from triptych.engine import EngineSettings
from triptych.engine.tensorrt.probe import probe_inputs
from triptych.engine.tensorrt.profiles import (
    Profile,
    Range,
    choose_profile,
    native_extent,
    parts,
    profiles_of,
    sizes_of,
)
from triptych.engine.tensorrt.typed import TypedGraph
from triptych.errors import InvalidArgumentError


def component_of(checkpoints: dict[str, Path], model: str, **config: Any) -> Component:
    component = Checkpoint.open(checkpoints["sd1"]).components[model]
    return replace(component, config={**component.config, **config})


@pytest.mark.parametrize(
    ("model", "sample_size", "extent"),
    [
        (UNET.name, 64, 64),
        (UNET.name, [64, 96], 96),
        (VAE_DECODER.name, 512, 64),
        (VAE_DECODER.name, None, 64),
        (VAE_DECODER.name, "large", 64),
        (VAE_DECODER.name, [], 64),
        (VAE_DECODER.name, 1 << 40, 64),
        (VAE_DECODER.name, 8, 64),
    ],
)
def test_the_native_extent(checkpoints: dict[str, Path], model: str, sample_size: Any, extent: int) -> None:
    assert native_extent(component_of(checkpoints, model, sample_size=sample_size)) == extent


def test_profiles_of_a_unet_of_512_pixels(checkpoints: dict[str, Path]) -> None:
    own, varied, large = profiles_of(component_of(checkpoints, UNET.name, sample_size=64))
    assert own.ranges["batch"] == Range(1, 2, 16) and own.ranges["latent_width"] == Range(64, 64, 64)
    assert varied.ranges["latent_height"] == Range(32, 64, 96) and large.ranges["latent_height"] == Range(32, 96, 128)
    dims = ("batch", 4, "latent_height", "latent_width")
    assert varied.shape(dims, "least") == (1, 4, 32, 32)
    assert varied.shape(dims, "best") == (2, 4, 64, 64)
    assert varied.shape(dims, "most") == (4, 4, 96, 96)


@pytest.mark.parametrize("model", [ENCODER.name, UNET.name, VAE_DECODER.name])
def test_ranges_are_ordered_and_cover_every_input(checkpoints: dict[str, Path], model: str) -> None:
    graph = TypedGraph.of(component_of(checkpoints, model), EngineSettings(2, CACHE))
    for profile in graph.profiles:
        assert all(1 <= r.least <= r.best <= r.most for r in profile.ranges.values())
        for which in ("least", "best"):
            inputs = probe_inputs(graph.dims, profile, which, 100)
            sizes = sizes_of(graph.dims, {name: array.shape for name, array in inputs.items()})
            assert profile.holds(sizes) and sizes.keys() == profile.ranges.keys()
    assert graph.best_sample().keys() == graph.dims.keys()
    assert np.array_equal(*(next(iter(graph.samples()[0].values())) for _ in range(2)))


def test_the_first_profile_that_holds_a_size_is_taken(checkpoints: dict[str, Path]) -> None:
    profiles = profiles_of(component_of(checkpoints, UNET.name, sample_size=64))

    def index(batch: int, height: int, width: int) -> int:
        sizes = {"batch": batch, "latent_height": height, "latent_width": width, "tokens": 77}
        return choose_profile(profiles, sizes)

    assert [index(2, 64, 64), index(40, 64, 64), index(2, 64, 96), index(9, 33, 96), index(1, 128, 97)] == [
        0,
        0,
        1,
        1,
        2,
    ]
    with pytest.raises(InvalidArgumentError, match="latent_height 129, latent_width 64, tokens 77") as caught:
        index(1, 129, 64)
    for limit in ("latent_height 64..64", "latent_width 32..96", "latent_width 32..128", "tokens 2..616"):
        assert limit in caught.value.message


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"latents": (2, 4, 8, 8)}, "latents are not latents, timestep"),
        ({"latents": (2, 4, 8, 8), "timestep": (3,)}, "has 3 where 2 is needed"),
        ({"latents": (2, 5, 8, 8), "timestep": (2,)}, "has 5 where 4 is needed"),
        ({"latents": (2, 4, 8), "timestep": (2,)}, "has not 4 dimensions"),
    ],
)
def test_inputs_that_contradict_the_graph(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    dims = {"latents": ("batch", 4, "latent_height", "latent_width"), "timestep": ("batch",)}
    with pytest.raises(InvalidArgumentError, match=message):
        sizes_of(dims, shapes)


@pytest.mark.parametrize(
    ("batch", "most", "sizes"), [(2, 16, [2]), (16, 16, [16]), (17, 16, [8, 9]), (9, 4, [3, 3, 3])]
)
def test_large_batches_are_cut_evenly(batch: int, most: int, sizes: list[int]) -> None:
    assert [part.stop - part.start for part in parts(batch, most)] == sizes


def test_a_fixed_profile_holds_only_itself() -> None:
    profile = Profile({"batch": Range(2, 2, 2)})
    assert profile.holds({"batch": 2}) and not profile.holds({"batch": 1})
