"""Engines of other graphs beside one that runs, on a stand-in: when they are made, and what weights they run with."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.tensorrt.standin import VERSIONS
from tests.engine.tensorrt.test_session import QUERY, factor, half, inputs
from tests.engine.tensorrt.workshop import ON_PLAIN, Load, Workshop, changed, ended
from triptych.contract import IMAGE_PROMPT
from triptych.engine import EngineSettings
from triptych.engine.build import build_artifact, graphs_of
from triptych.engine.cache.inventory import inventory
from triptych.engine.conditions import added_places, cross_attention_widths, feature_places
from triptych.engine.port import Array
from triptych.engine.rewriting.variant import Variant
from triptych.engine.tensorrt import beside, variants
from triptych.engine.tensorrt.build import making
from triptych.engine.tensorrt.build.plan import OVERRIDE as PLAN
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.engine import TensorRtEngine
from triptych.engine.tensorrt.plain import OVERRIDE
from triptych.engine.tensorrt.run import device_weights
from triptych.errors import FailedPreconditionError, InvalidArgumentError

pytestmark = pytest.mark.parametrize("trt", VERSIONS[:1], indirect=True)
USUAL, WIDER = RefitPlan.USUAL, RefitPlan.PER_CHECKPOINT
CONVOLUTION = "conv_in.weight"
CONTROLLED = Variant(is_controlled=True)
BUILDING = r"the engine unet-\w+ that runs .* is being built, which takes minutes: ask again then"


@pytest.fixture(autouse=True)
def no_plain_engine(monkeypatch: pytest.MonkeyPatch, workshop: Workshop) -> None:
    """But where a test asks for one."""
    monkeypatch.setenv(OVERRIDE, "never")


def controlled(workshop: Workshop, extent: int = 8) -> dict[str, Array]:
    """As under a ControlNet that pools what it adds at the middle, and under no adapter."""
    architecture = workshop.graph.component.architecture
    given = inputs(extent=extent)
    for name, (channels, smaller) in added_places(architecture).items():
        if name not in feature_places(architecture):
            size = -(-extent // smaller)
            given[name] = np.ones((2, channels, size, size), np.float32)
    last = max((name for name in given if name.startswith("residual_")), key=lambda name: int(name.split("_")[1]))
    given[last] = given[last][:, :, :1, :1]
    return given


def held(one: TensorRtEngine, variant: Variant = CONTROLLED) -> dict[str, Any]:
    weights: dict[str, Any] = one._pair.variants[variant].session.engine._weights
    return weights


def made(one: TensorRtEngine) -> None:
    """Waits until no variant is being made."""
    assert all(job.wait(60) for job in one._beside.variants.jobs)


def scale(outputs: dict[str, Array]) -> float:
    return float((outputs["noise_pred"] / inputs()["latents"]).mean())


def test_one_under_control_nets_is_built_beside_the_one_that_runs(load: Load, workshop: Workshop) -> None:
    one, given = load(), controlled(workshop)
    workshop.may_go_on.clear()
    with pytest.raises(FailedPreconditionError, match=BUILDING.replace(".*", "under ControlNets and T2I-Adapters")):
        one.infer(given)
    before = factor(one)  # others are served meanwhile
    workshop.may_go_on.set()
    one.prepare_residuals()
    outputs = one.infer(given)
    assert outputs["noise_pred"].shape == given["latents"].shape and scale(outputs) == before == factor(one)
    assert workshop.built == [USUAL, USUAL] and workshop.inputs[1] - workshop.inputs[0] == {
        *added_places(workshop.graph.component.architecture)
    }
    one.prepare_residuals()
    assert len(workshop.built) == 2


def test_what_nothing_adds_to_is_zeros_and_one_number_stands_everywhere(load: Load, workshop: Workshop) -> None:
    one, given = load(), controlled(workshop)
    one.prepare_residuals()
    one.infer(given)
    (context,) = one._pair.variants[CONTROLLED].session.engine._contexts
    for name, (channels, smaller) in added_places(workshop.graph.component.architecture).items():
        assert context._shapes[name] == (2, channels, 8 // smaller, 8 // smaller)
    whole = variants._whole(given, one._beside.variants._varied(CONTROLLED).graph)
    for name, array in whole.items():
        assert (array == (0 if name.startswith("feature_") else 1)).all() or name in inputs()
    wrong = given | {"residual_0": given["residual_0"][:, :, :4, :4]}
    with pytest.raises(InvalidArgumentError, match=r"residual_0: .* has 4 where 8 is needed"):
        one.infer(wrong)


def test_what_another_engine_kept_is_taken(load: Load, workshop: Workshop) -> None:
    one, given = load(), controlled(workshop)
    one.prepare_residuals()
    kept = {name: torch.tensor(array) if name.startswith("residual_") else array for name, array in given.items()}
    assert np.array_equal(one.infer(kept)["noise_pred"], one.infer(given)["noise_pred"])
    outputs = one.infer_kept(kept)["noise_pred"]
    assert isinstance(outputs, torch.Tensor) and np.array_equal(outputs.numpy(), one.infer(given)["noise_pred"])


def test_a_set_crosses_to_the_gpu_once_for_both(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, given, lora = load(), controlled(workshop), changed(workshop.graph, QUERY)
    one.prepare_residuals()
    crossed: list[Any] = []
    monkeypatch.setattr(device_weights, "sent", lambda tensor, _device: crossed.append(tensor) or tensor)
    for _ in range(3):
        one.refit(lora)
        factor(one), one.infer(given)
        one.refit(dict.fromkeys(lora))
        factor(one), one.infer(given)
    assert len(crossed) == 2  # the set's, and the checkpoint's own


def test_loras_are_the_same_in_both_whichever_was_there_first(load: Load, workshop: Workshop) -> None:
    one, given = load(), controlled(workshop)
    one.refit(changed(workshop.graph, QUERY))
    one.prepare_residuals()
    assert scale(one.infer(given)) == factor(one) and (held(one)[QUERY] == 1).all()
    one.refit(changed(workshop.graph, QUERY, 2.0))
    plain = factor(one)
    assert (held(one)[QUERY] == 1).all()  # until it runs
    assert scale(one.infer(given)) == plain and (held(one)[QUERY] == 2).all()
    one.refit({QUERY: None})
    assert scale(one.infer(given)) == factor(one) != plain
    assert np.array_equal(held(one)[QUERY], half(workshop.graph, QUERY))


def test_a_plain_engine_beside_changes_nothing_for_it(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OVERRIDE, "always")
    one, given = load(), controlled(workshop)
    ended(one)
    one.prepare_residuals()
    own = scale(one.infer(given))
    assert factor(one) == ON_PLAIN != own
    one.refit(changed(workshop.graph, QUERY))
    assert scale(one.infer(given)) == factor(one) != own
    one.refit({QUERY: None})
    assert scale(one.infer(given)) == own and factor(one) == ON_PLAIN


def test_where_a_lora_has_opened_more_weights_it_is_built_anew(load: Load, workshop: Workshop) -> None:
    one, given = load(), controlled(workshop)
    one.prepare_residuals()
    with pytest.raises(FailedPreconditionError):
        one.prepare_refit([CONVOLUTION])
    assert one._beside._wider is not None and one._beside._wider.wait(60)
    one.infer(given)  # the one that is there does for what it has open
    one.refit(changed(workshop.graph, CONVOLUTION))
    workshop.may_go_on.clear()
    with pytest.raises(FailedPreconditionError, match=BUILDING):
        one.infer(given)
    workshop.may_go_on.set()
    one.prepare_residuals()
    assert scale(one.infer(given)) == factor(one) and (held(one)[CONVOLUTION] == 1).all()
    assert workshop.built == [USUAL, USUAL, WIDER, WIDER]


def test_each_graph_has_an_engine_of_its_own(load: Load, workshop: Workshop) -> None:
    one, given, axes = load(), inputs(), "x"
    width = sum(cross_attention_widths(workshop.graph.component).values())
    prompted = given | {IMAGE_PROMPT.name: np.ones((2, 4, 16, width), np.float32)}
    one.prepare_image_prompt(2, axes)
    assert scale(one.infer_wrapped(prompted, axes)) == factor(one)
    with pytest.raises(
        FailedPreconditionError, match=BUILDING.replace(".*", "with 1 IP-Adapter, with convolutions .* along x")
    ):
        one.infer_wrapped(given | {IMAGE_PROMPT.name: np.ones((2, 2, 16, width), np.float32)}, axes)
    made(one)
    assert one._pair.variants.keys() == {Variant(axes, prompts=2), Variant(axes, prompts=1)}
    told = [entry.built_for.get("variant", "") for entry in inventory(one._beside._making.root.parent)]
    assert sorted(told) == ["", "1 image prompt, tiling x", "2 image prompts, tiling x"]


def test_pictures_that_tile_have_one_too(load: Load, workshop: Workshop) -> None:
    one = load()
    workshop.may_go_on.clear()
    for call in (lambda: one.require_wrapped("xy"), lambda: one.infer_wrapped(inputs(), "xy")):
        with pytest.raises(FailedPreconditionError, match=BUILDING.replace(".*", "with convolutions .* along xy")):
            call()
    workshop.may_go_on.set()
    made(one)
    one.require_wrapped("xy")
    assert scale(one.infer_wrapped(inputs(), "xy")) == factor(one) == scale(one.infer_wrapped(inputs(), ""))
    assert workshop.inputs[0] == workshop.inputs[1]


def test_what_the_cache_has_is_waited_for(load: Load, workshop: Workshop) -> None:
    one = load()
    one.prepare_residuals("y")
    again = load()
    assert scale(again.infer_wrapped(controlled(workshop), "y")) == factor(again)
    assert workshop.built == [USUAL, USUAL]


def test_a_build_ahead_leaves_nothing_to_be_built(load: Load, workshop: Workshop, settings: EngineSettings) -> None:
    component = workshop.graph.component
    for variant in graphs_of(component, [CONTROLLED]):
        build_artifact(component, "tensorrt", settings, variant=variant)
    one = load()
    one.prepare_residuals()
    assert workshop.built == [USUAL, USUAL] and scale(one.infer(controlled(workshop))) == factor(one)


def test_one_that_failed_is_told_by_name_and_tried_again_at_the_next_load(load: Load, workshop: Workshop) -> None:
    one = load()
    workshop.problem = RuntimeError("out of workspace")
    told = r"the engine unet-\w+ that runs under .* could not be made: RuntimeError: out of workspace; load the model"
    for call in (one.prepare_residuals, one.prepare_residuals, lambda: one.infer(controlled(workshop))):
        with pytest.raises(FailedPreconditionError, match=told):
            call()
    assert np.isfinite(factor(one))
    workshop.problem = None
    load().prepare_residuals()


def test_none_is_built_without_room_or_from_weights_that_came_later(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = load()
    workshop.free_bytes = 1000
    with pytest.raises(FailedPreconditionError, match=r"takes 0\.\d GB of the GPU's memory, of which 0\.0 GB are free"):
        one.prepare_residuals()
    workshop.free_bytes = 80_000_000_000
    monkeypatch.setattr(making, "weights_digest", lambda _component: "another's")
    with pytest.raises(FailedPreconditionError, match="were replaced since they were loaded"):
        one.prepare_image_prompt()
    assert workshop.built == [USUAL]


def told_at_unload(one: TensorRtEngine) -> list[str]:
    """What a caller is told who waits for residuals when the engine is closed."""
    problems: list[str] = []

    def prepare() -> None:
        with pytest.raises(FailedPreconditionError) as caught:
            one.prepare_residuals()
        problems.append(str(caught.value))

    preparing = threading.Thread(target=prepare)
    preparing.start()
    while not one._beside.variants.jobs:
        preparing.join(0.01)
    one.close()
    preparing.join(30)
    return problems


def test_a_build_ends_when_the_model_is_unloaded(load: Load, workshop: Workshop) -> None:
    one = load()
    workshop.may_go_on.clear()
    problems = told_at_unload(one)
    assert len(problems) == 1 and "could not be made" in problems[0] and workshop.built == [USUAL]


def test_nobody_waits_for_a_build_that_does_not_end(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "_ENDING_S", 0.01)
    one, never_mind = load(), threading.Event()
    monkeypatch.setattr(making, "build_engine", lambda *_told: never_mind.wait(60))
    problems = told_at_unload(one)
    assert len(problems) == 1 and "could not be made: the model is being unloaded" in problems[0]
    never_mind.set()


def test_one_that_is_forgotten_is_gone_at_once(workshop: Workshop, settings: EngineSettings) -> None:
    one = TensorRtEngine.load(workshop.graph.component, settings)
    one.prepare_residuals()
    sessions = [one._pair.refittable.session, one._pair.variants[CONTROLLED].session]
    held = [weakref.ref(session.engine) for session in sessions]
    for thread in threading.enumerate():
        if thread.name.startswith("the "):
            thread.join(60)
    gc.collect()
    gc.disable()
    try:
        del sessions, one
        assert [each() for each in held] == [None, None]  # a GPU's memory is not what Python looks for garbage by
    finally:
        gc.enable()


def test_what_was_made_meanwhile_is_not_made_again(load: Load, workshop: Workshop) -> None:
    one = load()
    one.prepare_residuals()
    (job,) = one._beside.variants.jobs
    assert one._beside.variants._asked_for(CONTROLLED) is job


def test_of_an_engine_for_all_checkpoints_each_is_compared_once(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed: list[str] = []
    monkeypatch.setenv(PLAN, RefitPlan.PER_ARCHITECTURE)
    monkeypatch.setattr(variants, "check_outputs", lambda *told: probed.append(told[-1]) or 0.0)
    for _ in range(2):
        one = load()
        one.prepare_residuals()
    assert probed == ["the engine refitted to this checkpoint"]
    assert workshop.built == [RefitPlan.PER_ARCHITECTURE] * 2
