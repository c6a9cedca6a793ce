"""The sizes an engine is built for, and what happens outside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import CACHE
from tests.engine.tensorrt.real import FAMILIES, save_checkpoint
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import ENCODER, UNET, VAE_DECODER, VAE_ENCODER
from triptych.engine import EngineSettings
from triptych.engine.tensorrt.network.profiles import (
    Profile,
    Range,
    choose_profile,
    most_batch,
    parts,
    profiles_of,
    sizes_of,
)
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.errors import FailedPreconditionError, InvalidArgumentError
from triptych.stage import StageModel
from triptych_encoder.model import EncoderModel
from triptych_unet.model import UNetModel
from triptych_vae.model import VaeDecoderModel, VaeEncoderModel


def component_of(checkpoints: dict[str, Path], model: str, **changes: Any) -> Component:
    return replace(Checkpoint.open(checkpoints["sd1"]).components[model], **changes)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    root = tmp_path_factory.mktemp("real")
    return {family: Checkpoint.open(save_checkpoint(root / family, family)) for family in FAMILIES}


def ranges(profile: Profile) -> tuple[tuple[int, int, int], ...]:
    return tuple(
        (r.least, r.best, r.most) for name, r in profile.ranges.items() if name not in ("tokens", "latent_width")
    )


def extents(profile: Profile, which: str) -> tuple[int, int]:
    """Height and width at one end of the ranges, of the latents or of the picture."""
    height, width = (r for name, r in profile.ranges.items() if name.removeprefix("latent_") in ("height", "width"))
    return int(getattr(height, which)), int(getattr(width, which))


def test_profiles_of_a_unet_of_512_pixels(real: dict[str, Checkpoint]) -> None:
    profiles = profiles_of(real["sd15"].components[UNET.name])
    assert [ranges(profile) for profile in profiles] == [
        ((1, 2, 4), (64, 64, 64)),
        ((5, 8, 8), (64, 64, 64)),
        ((9, 15, 15), (64, 64, 64)),
        ((1, 2, 3), (32, 64, 96)),
        ((1, 1, 1), (32, 96, 120)),
    ]
    dims = ("batch", 4, "latent_height", "latent_width")
    shapes = [profiles[3].shape(dims, which) for which in ("least", "best", "most")]
    assert shapes == [(1, 4, 32, 32), (2, 4, 64, 64), (3, 4, 96, 96)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stage", [EncoderModel, UNetModel, VaeDecoderModel, VaeEncoderModel])
@pytest.mark.parametrize("device", ["cuda:0", "cpu"])
def test_a_stage_warms_up_with_what_its_engine_takes(
    real: dict[str, Checkpoint], family: str, stage: type[StageModel], device: str
) -> None:
    checkpoint = real[family]
    model = stage()
    model.component, model.device = checkpoint.components[stage.spec.name], device
    (sample, *_) = model.warm_up_inputs(checkpoint).values()
    assert len(sample) == 1
    if stage is EncoderModel:
        assert sample.shape == (1, 77, model.component.architecture.config["hidden_size"])
    elif device == "cpu":
        assert max(sample.shape[2:]) <= (4 * checkpoint.vae_scale_factor if stage is VaeEncoderModel else 4)
    elif stage is VaeEncoderModel:
        sizes = dict(zip(("batch", "height", "width"), (1, *sample.shape[2:]), strict=True))
        assert choose_profile(profiles_of(model.component), sizes) == 0
        assert (sizes["height"], sizes["width"]) == (checkpoint.default_height, checkpoint.default_width)
    else:
        size = dict(zip(("batch", "latent_height", "latent_width"), (1, *sample.shape[2:]), strict=True))
        tokens = {"tokens": 77} if stage is UNetModel else {}
        assert choose_profile(profiles_of(model.component), size | tokens) == 0
        scale = checkpoint.vae_scale_factor
        assert (size["latent_height"] * scale, size["latent_width"] * scale) == (
            checkpoint.default_height,
            checkpoint.default_width,
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_unet_makes_the_vae_takes(real: dict[str, Checkpoint], family: str) -> None:
    unet, vae = (profiles_of(real[family].components[model]) for model in (UNET.name, VAE_DECODER.name))
    for profile in unet:
        for which in ("least", "best", "most"):
            sizes = {name: int(getattr(r, which)) for name, r in profile.ranges.items() if name != "tokens"}
            assert most_batch(vae, sizes) >= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_of_what_the_unet_makes_can_be_encoded(real: dict[str, Checkpoint], family: str) -> None:
    unet, vae = (profiles_of(real[family].components[model]) for model in (UNET.name, VAE_ENCODER.name))
    scale = real[family].vae_scale_factor
    for profile in unet:
        for which in ("least", "best", "most"):
            height, width = (extent * scale for extent in extents(profile, which))
            assert most_batch(vae, {"height": height, "width": width}) >= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_no_tensor_of_a_vae_encoders_profile_has_2_to_the_31_elements(real: dict[str, Checkpoint], family: str) -> None:
    for profile in profiles_of(real[family].components[VAE_ENCODER.name]):
        (height, width), batch = extents(profile, "most"), profile.ranges["batch"].most
        assert batch * 128 * height * width < 2**31 and batch * (height * width // 64) ** 2 < 2**31


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("model", [UNET.name, VAE_DECODER.name])
def test_no_tensor_of_a_profile_has_2_to_the_31_elements(real: dict[str, Checkpoint], family: str, model: str) -> None:
    component = real[family].components[model]
    heads = component.architecture.config["attention_head_dim"] if model == UNET.name else 1
    first = heads[0] if isinstance(heads, list) else heads
    for profile in profiles_of(component):
        batch, height, width = (profile.ranges[name].most for name in ("batch", "latent_height", "latent_width"))
        assert batch * first * (height * width) ** 2 < 2**31
        if model == VAE_DECODER.name:
            assert batch * 256 * height * width * 64 < 2**31


def test_every_batch_of_the_own_size_has_a_profile(real: dict[str, Checkpoint]) -> None:
    for family, most in (("sd15", 15), ("sd21", 5)):
        profiles = profiles_of(real[family].components[UNET.name])
        height, width = real[family].components[UNET.name].latent_size
        sizes = {"latent_height": height, "latent_width": width, "tokens": 77}
        assert most_batch(profiles, sizes) == most
        chosen = [profiles[choose_profile(profiles, {**sizes, "batch": batch})] for batch in range(1, most + 1)]
        assert all(profile.ranges["latent_height"] == Range(height, height, height) for profile in chosen)


def test_a_size_that_no_engine_can_have_is_refused(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(FailedPreconditionError, match=r"latents of 512x512 .* use the engine torch"):
        profiles_of(component_of(checkpoints, UNET.name, latent_size=(512, 512)))


@pytest.mark.parametrize("model", [ENCODER.name, UNET.name, VAE_DECODER.name, VAE_ENCODER.name])
def test_ranges_are_ordered_and_every_profile_is_probed(checkpoints: dict[str, Path], model: str) -> None:
    graph = TypedGraph.of(component_of(checkpoints, model), EngineSettings(2, CACHE))
    for profile in graph.profiles:
        assert all(1 <= r.least <= r.best <= r.most for r in profile.ranges.values())
    probed = []
    for sample in graph.samples():
        sizes = sizes_of(graph.dims, {name: array.shape for name, array in sample.inputs.items()})
        profile = graph.profiles[sample.profile]
        assert profile.holds(sizes) and sizes.keys() == profile.ranges.keys()
        assert sample.profile == graph.profiles.index(profile)
        probed.append((sample.profile, sizes))
    expected = [
        (index, {name: int(getattr(r, which)) for name, r in profile.ranges.items()})
        for index, profile in enumerate(graph.profiles)
        for which in ("best", "most")
    ]
    assert probed == expected
    assert graph.best_sample().keys() == graph.dims.keys()
    assert np.array_equal(*(next(iter(graph.samples()[0].inputs.values())) for _ in range(2)))


def test_the_first_profile_that_holds_a_size_is_taken(real: dict[str, Checkpoint]) -> None:
    profiles = profiles_of(real["sd15"].components[UNET.name])

    def index(batch: int, height: int, width: int) -> int:
        sizes = {"batch": batch, "latent_height": height, "latent_width": width, "tokens": 77}
        return choose_profile(profiles, sizes)

    assert [index(2, 64, 64), index(8, 64, 64), index(15, 64, 64), index(2, 64, 96), index(1, 120, 97)] == [*range(5)]
    with pytest.raises(InvalidArgumentError, match="latent_height 129, latent_width 64, tokens 77") as caught:
        index(1, 129, 64)
    for limit in ("latent_height 64..64", "latent_width 32..96", "latent_width 32..120", "tokens 2..616"):
        assert limit in caught.value.message
    with pytest.raises(InvalidArgumentError, match="was not built for"):
        most_batch(profiles, {"latent_height": 129, "latent_width": 64, "tokens": 77})


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
