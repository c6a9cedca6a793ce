"""Which weights an engine keeps open: by what was measured, by the operator's word, and by what LoRA files change."""

from __future__ import annotations

from pathlib import Path

import pytest
from diffusers import UNet2DConditionModel
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint
from triptych.contract import ENCODER, VAE_DECODER
from triptych.engine import EngineSettings
from triptych.engine.tensorrt.build.plan import OVERRIDE, RefitPlan, choose_plan
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.errors import FailedPreconditionError

PLAIN, USUAL, ALONE, SHARED = RefitPlan


@pytest.mark.parametrize(
    ("first", "seconds", "override", "plan"),
    [
        (USUAL, {}, "", USUAL),
        (ALONE, {}, "", ALONE),
        (ALONE, {SHARED: 0.1}, "", ALONE),
        (ALONE, {ALONE: 1.0, SHARED: 1.04}, "", SHARED),
        (ALONE, {ALONE: 1.0, SHARED: 1.7}, "", ALONE),
        (USUAL, {ALONE: 1.0, SHARED: 1.0}, "", USUAL),
        (USUAL, {USUAL: 1.0, ALONE: 1.04, SHARED: 1.7, PLAIN: 0.5}, "", ALONE),
        (USUAL, {USUAL: 1.0, ALONE: 1.04, SHARED: 1.05}, "", SHARED),
        (USUAL, {USUAL: 1.0, ALONE: 1.2, SHARED: 1.7}, "", USUAL),
        (USUAL, {USUAL: 1.0, SHARED: 1.7}, "architecture", SHARED),
        (USUAL, {USUAL: 1.0, SHARED: 1.0}, "checkpoint", ALONE),
        (USUAL, {USUAL: 1.0, SHARED: 1.0}, "usual", USUAL),
        (USUAL, {}, "plain", PLAIN),
    ],
)
def test_the_plan_follows_what_was_measured(
    first: RefitPlan, seconds: dict[RefitPlan, float], override: str, plan: RefitPlan
) -> None:
    assert choose_plan(first, seconds, override) is plan


def test_an_unknown_plan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OVERRIDE, "both")
    with pytest.raises(FailedPreconditionError, match="name plain or usual or checkpoint or architecture"):
        choose_plan(USUAL, {})


@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_what_trainers_change_unless_told_otherwise_is_open_at_first(checkpoints: dict[str, Path], family: str) -> None:
    """sd-scripts takes the layers of every Transformer2DModel; diffusers' scripts, the attentions' alone."""
    component = Checkpoint.open(checkpoints[family]).components["unet"]
    graph = TypedGraph.of(component, EngineSettings(2, CACHE, precision="fp16"))
    unet = UNet2DConditionModel.from_pretrained(checkpoints[family], subfolder="unet")
    usual = {
        f"{name}.{inner}.weight"
        for name, module in unet.named_modules()
        if isinstance(module, Transformer2DModel)
        for inner, layer in module.named_modules()
        if isinstance(layer, (nn.Linear, nn.Conv2d))
    }
    assert set(graph.open_names(USUAL)) == usual < set(graph.open_names(ALONE)) < set(graph.open_names(SHARED))
    assert graph.first_plan is USUAL and not graph.open_names(PLAIN)


@pytest.mark.parametrize("model", [ENCODER.name, VAE_DECODER.name])
def test_others_have_all_open_at_once_that_a_lora_can_change(checkpoints: dict[str, Path], model: str) -> None:
    component = Checkpoint.open(checkpoints["sd1"]).components[model]
    graph = TypedGraph.of(component, EngineSettings(2, CACHE, precision="fp16"))
    assert graph.first_plan is ALONE and bool(graph.open_names(ALONE)) == (model == ENCODER.name)
