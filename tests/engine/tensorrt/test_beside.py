"""An engine's whole life on a stand-in, from the build on: what is made beside it, when, and what runs on which."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.tensorrt.standin import VERSIONS
from tests.engine.tensorrt.test_session import QUERY, factor, half
from tests.engine.tensorrt.workshop import ON_PLAIN, Load, Workshop, changed, ended, held_by
from triptych.engine import EngineSettings
from triptych.engine.build import build_artifact
from triptych.engine.cache.inventory import inventory
from triptych.engine.tensorrt import background, choice
from triptych.engine.tensorrt.build import making
from triptych.engine.tensorrt.build.plan import OVERRIDE as PLAN
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.plain import OVERRIDE, Comparison, read_comparison
from triptych.errors import FailedPreconditionError, InvalidArgumentError

# The versions differ in what is called, not in what is made when.
pytestmark = pytest.mark.parametrize("trt", VERSIONS[:1], indirect=True)
USUAL, WIDER, PLAIN = RefitPlan.USUAL, RefitPlan.PER_CHECKPOINT, RefitPlan.PLAIN
CONVOLUTION = "conv_in.weight"


def test_a_lora_of_the_usual_kind_needs_nothing_more(load: Load, workshop: Workshop) -> None:
    one = load()
    one.prepare_refit([QUERY])
    one.refit(changed(workshop.graph, QUERY))
    assert (held_by(one)[QUERY] == 1).all() and CONVOLUTION not in held_by(one)
    ended(one)
    assert workshop.built == [USUAL, PLAIN]


def test_one_that_changes_others_is_told_to_come_again_until_they_are_open(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(OVERRIDE, "never")
    caplog.set_level(logging.INFO)
    one = load()
    one.refit(changed(workshop.graph, QUERY))
    workshop.may_go_on.clear()
    key = one._beside._making.build(WIDER).key()
    for _ in range(3):
        with pytest.raises(FailedPreconditionError) as caught:
            one.prepare_refit([QUERY, CONVOLUTION, "conv_out.weight"])
        assert str(caught.value) == (
            f"the LoRA changes conv_in.weight and 1 more, closed to changes in the engine that runs; the engine {key}, "
            f"where they are open, is being built, which takes minutes: ask again then"
        )
    with pytest.raises(InvalidArgumentError, match=r"conv_in\.weight: is closed to refits"):
        one.refit(changed(workshop.graph, CONVOLUTION))
    before = factor(one)  # others are served meanwhile
    workshop.may_go_on.set()
    ended(one)
    one.prepare_refit([CONVOLUTION])
    assert (
        workshop.built == [USUAL, WIDER]
        and f"the engine {key}, which any LoRA can change, has taken over" in caplog.text
    )
    assert (held_by(one)[QUERY] == 1).all()  # the set that was in the engine before is in this one
    assert factor(one) != before  # the stand-in adds up the weights that are open
    one.refit(changed(workshop.graph, CONVOLUTION, 2.0))
    assert (held_by(one)[CONVOLUTION] == 2).all()
    one.refit({QUERY: None, CONVOLUTION: None})
    assert all(np.array_equal(held_by(one)[name], half(workshop.graph, name)) for name in workshop.graph.targets)


def test_a_build_that_failed_is_told_by_name_and_tried_again_at_the_next_load(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(OVERRIDE, "never")
    one = load()
    workshop.problem = RuntimeError("out of workspace")
    with pytest.raises(FailedPreconditionError):
        one.prepare_refit([CONVOLUTION])
    ended(one)
    key = one._beside._making.build(WIDER).key()
    told = rf"the engine {key}, where they are open, could not be made: RuntimeError: out of workspace; load the model"
    for _ in range(2):
        with pytest.raises(FailedPreconditionError, match=told):
            one.prepare_refit([CONVOLUTION])
    assert f"the engine {key} failed: out of workspace" in caplog.text
    one.refit(changed(workshop.graph, QUERY))  # the other LoRAs are served
    assert np.isfinite(factor(one))
    workshop.problem = None
    again = load()
    with pytest.raises(FailedPreconditionError, match="is being built"):
        again.prepare_refit([CONVOLUTION])
    ended(again)
    again.prepare_refit([CONVOLUTION])


def test_what_the_cache_has_is_waited_for(load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OVERRIDE, "never")
    one = load()
    with pytest.raises(FailedPreconditionError):
        one.prepare_refit([CONVOLUTION])
    ended(one)
    monkeypatch.setattr(making, "choose_plan", lambda first, _seconds: first)  # as if the wider one were slower
    again = load()
    assert again._pair.refittable.plan is USUAL
    again.prepare_refit([CONVOLUTION])
    assert again._pair.refittable.plan is WIDER and workshop.built == [USUAL, WIDER]


def test_what_the_cache_has_is_not_waited_for_while_another_engine_is_built(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OVERRIDE, "never")
    one = load()
    with pytest.raises(FailedPreconditionError, match="is being built"):
        one.prepare_refit([CONVOLUTION])
    ended(one)
    monkeypatch.setattr(making, "choose_plan", lambda first, _seconds: first)
    monkeypatch.delenv(OVERRIDE)
    workshop.may_go_on.clear()
    again = load()  # whose plain engine is being built
    began = time.monotonic()
    with pytest.raises(FailedPreconditionError, match="is loaded after what is made before it: ask again then"):
        again.prepare_refit([CONVOLUTION])
    assert time.monotonic() - began < background._LOADING_S / 2
    workshop.may_go_on.set()
    ended(again)
    again.prepare_refit([CONVOLUTION])
    assert workshop.built == [USUAL, WIDER, PLAIN]


def test_no_engine_is_built_from_weights_that_came_later(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OVERRIDE, "never")
    one = load()
    monkeypatch.setattr(making, "weights_digest", lambda _component: "another's")
    with pytest.raises(FailedPreconditionError):
        one.prepare_refit([CONVOLUTION])
    ended(one)
    with pytest.raises(FailedPreconditionError, match="were replaced since they were loaded; load the model"):
        one.prepare_refit([CONVOLUTION])
    assert workshop.built == [USUAL]


def test_no_engine_is_built_without_room_for_it(load: Load, workshop: Workshop) -> None:
    workshop.free_bytes = 1000
    one = load()
    with pytest.raises(FailedPreconditionError, match="is being built"):
        one.prepare_refit([CONVOLUTION])
    ended(one)
    with pytest.raises(FailedPreconditionError, match=r"takes 0\.\d GB of the GPU's memory, of which 0\.0 GB are free"):
        one.prepare_refit([CONVOLUTION])
    assert workshop.built == [USUAL] and one._pair.plain is None


def test_what_needs_no_lora_runs_on_the_plain_engine_where_that_is_quicker(
    load: Load, workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = load()
    ended(one)
    assert factor(one) == ON_PLAIN
    one.refit(changed(workshop.graph, QUERY))
    with_lora = factor(one)
    assert with_lora != ON_PLAIN and (held_by(one)[QUERY] == 1).all()
    (line,) = [record for record in caplog.records if "runs what needs no LoRA" in record.getMessage()]
    plain, usual = (one._beside._making.build(plan).key() for plan in (PLAIN, USUAL))
    assert line.getMessage().startswith(
        f"the plain engine {plain} runs what needs no LoRA: a step was measured at 10.00 ms with {plain} and 17.00 ms "
        f"with {usual}; the two hold 0.00 GB and 0.0"
    )
    assert line.plain_bytes == 17 < line.usual_bytes  # type: ignore[attr-defined]


def test_a_set_that_comes_again_after_requests_without_costs_no_refit(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = load()
    ended(one)
    refits: list[set[str]] = []
    refitter = one._pair.refittable._refitter
    refit = refitter.refit  # type: ignore[union-attr]
    monkeypatch.setattr(refitter, "refit", lambda weights: (refits.append(set(weights)), refit(weights)))
    lora, other = changed(workshop.graph, QUERY), changed(workshop.graph, QUERY.replace("to_q", "to_k"))
    for _ in range(3):
        one.refit(lora)
        with_lora = factor(one)
        one.refit(dict.fromkeys(lora))
        assert factor(one) == ON_PLAIN != with_lora
    assert refits == [set(lora)]
    one.refit(other)
    assert refits[1:] == [set(lora) | set(other)] and np.array_equal(held_by(one)[QUERY], half(workshop.graph, QUERY))


def test_what_was_measured_holds_for_the_next_start(load: Load, workshop: Workshop, settings: EngineSettings) -> None:
    for _ in range(2):
        one = load()
        ended(one)
        assert factor(one) == ON_PLAIN
    assert workshop.compared == 1 and workshop.built == [USUAL, PLAIN]
    made = one._beside._making
    assert read_comparison(made.root, made.subject, USUAL) == workshop.comparison
    assert sorted(entry.built_for["plan"] for entry in inventory(settings.cache_dir)) == ["plain", "usual"]


def test_one_that_is_hardly_quicker_is_not_kept(
    load: Load, workshop: Workshop, settings: EngineSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    workshop.comparison = Comparison(0.0165, 0.017)
    for _ in range(2):
        one = load()
        ended(one)
        assert factor(one) != ON_PLAIN
    assert workshop.compared == 1 and workshop.built == [USUAL, PLAIN]
    assert [entry.built_for["plan"] for entry in inventory(settings.cache_dir)] == ["usual"]
    assert caplog.text.count("no plain engine: a step was measured at 16.50 ms with unet-") == 2


def test_after_a_wider_engine_took_over_the_plain_one_is_measured_beside_that(load: Load, workshop: Workshop) -> None:
    workshop.comparison = Comparison(0.0165, 0.017)
    one = load()
    ended(one)
    workshop.comparison = Comparison(0.0165, 0.029)
    with pytest.raises(FailedPreconditionError):
        one.prepare_refit([CONVOLUTION])
    ended(one)
    assert factor(one) == ON_PLAIN and workshop.built == [USUAL, PLAIN, WIDER, PLAIN] and workshop.compared == 2


@pytest.mark.parametrize(("setting", "factors"), [("always", True), ("never", False)])
def test_the_operator_can_force_and_forbid_it(
    load: Load, workshop: Workshop, setting: str, factors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OVERRIDE, setting)
    workshop.comparison = Comparison(0.020, 0.017) if factors else Comparison(0.001, 0.017)
    one = load()
    ended(one)
    assert (factor(one) == ON_PLAIN) is factors and workshop.compared == 0
    assert workshop.built == [USUAL, PLAIN][: 1 + factors]


def test_an_unknown_setting_is_refused_before_anything_is_built(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OVERRIDE, "perhaps")
    with pytest.raises(FailedPreconditionError, match="name auto, always, never"):
        load()
    assert workshop.built == []


def test_beside_one_engine_for_all_checkpoints_none_is_made_for_each(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PLAN, "architecture")
    one = load()
    ended(one)
    one.prepare_refit([CONVOLUTION])
    assert workshop.built == [RefitPlan.PER_ARCHITECTURE] and factor(one) != ON_PLAIN
    monkeypatch.setenv(OVERRIDE, "always")
    ended(one := load())
    assert factor(one) == ON_PLAIN


def test_where_no_lora_is_expected_no_weight_need_be_open(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PLAN, "plain")
    one = load()
    ended(one)
    assert workshop.built == [PLAIN] and factor(one) == ON_PLAIN
    with pytest.raises(FailedPreconditionError, match="is being built"):
        one.prepare_refit([QUERY])
    ended(one)
    one.prepare_refit([QUERY])
    one.refit(changed(workshop.graph, QUERY))
    assert (held_by(one)[QUERY] == 1).all() and factor(one) != ON_PLAIN


def test_a_plain_engine_that_fails_leaves_all_as_it_was(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def short(*_arguments: Any) -> Comparison:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(choice, "compare", short)
    one = load()
    ended(one)
    assert re.search(r"the plain engine unet-\w+ failed: CUDA out of memory", caplog.text)
    assert np.isfinite(factor(one)) and factor(one) != ON_PLAIN


def test_a_build_ends_when_the_model_is_unloaded(load: Load, workshop: Workshop) -> None:
    workshop.may_go_on.set()
    one = load()
    ended(one)
    workshop.may_go_on.clear()
    with pytest.raises(FailedPreconditionError, match="is being built"):
        one.prepare_refit([CONVOLUTION])
    one.close()
    assert one._beside._wider is not None and one._beside._wider.wait(0) and workshop.built == [USUAL, PLAIN]


def test_a_build_ahead_leaves_nothing_to_be_built_at_the_start(
    load: Load, workshop: Workshop, settings: EngineSettings
) -> None:
    for _ in range(2):
        build_artifact(workshop.graph.component, "tensorrt", settings)
    assert workshop.built == [USUAL, PLAIN] and workshop.compared == 1
    one = load()
    ended(one)
    assert factor(one) == ON_PLAIN and workshop.built == [USUAL, PLAIN] and workshop.compared == 1


@pytest.mark.parametrize("name", ["conv_norm_out.weight", "mid_block.resnets.0.conv1.bias"])
def test_a_bias_or_a_norm_is_refused_by_its_name_but_where_every_weight_is_open(
    load: Load, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    one = load()
    with pytest.raises(FailedPreconditionError, match=f"changes {name}, a bias or a norm, .* {PLAN}=architecture"):
        one.prepare_refit([QUERY, name])
    ended(one)
    assert workshop.built == [USUAL, PLAIN]
    monkeypatch.setenv(PLAN, RefitPlan.PER_ARCHITECTURE)
    other = load()
    other.prepare_refit([QUERY, name])
    other.refit(changed(workshop.graph, name, 3.0))
    assert (held_by(other)[name] == 3).all()
