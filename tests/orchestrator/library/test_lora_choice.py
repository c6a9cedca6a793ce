"""From a request's LoRAs to what the stages get, against the demo checkpoint's own components."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lora import making
from tests.orchestrator.lora_files import any_lora, save_lora
from triptych import demo
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import ENCODER, UNET, LoraWeight
from triptych.errors import InvalidArgumentError, LoraBrokenError, LoraInvalidError, NotFoundError, TriptychError
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.loras import choice as lora_choice
from triptych_orchestrator.library.loras.choice import LoraChoice, LoraChooser, LoraUse, asked_loras
from triptych_orchestrator.library.loras.registry import Lora, LoraRegistry
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.settings import Limits

UNET_PLACE = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
ENCODER_PLACE = "encoder.layers.0.self_attn.q_proj"


def request(prompt: str = "a fox", **fields: Any) -> Asked:
    loras = tuple(LoraUse(**use) for use in fields.pop("loras", ()))
    return Asked(prompt=prompt, loras=loras, **fields)


@pytest.fixture(scope="module")
def entry() -> Entry:
    entry = Entry("demo", demo.checkpoint_path(), "onnxruntime")
    entry.open()
    return entry


@pytest.fixture
def checkpoint(entry: Entry) -> Checkpoint:
    assert entry.checkpoint is not None
    return entry.checkpoint


@pytest.fixture
def shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, int]]:
    """Kohya's name and the shape of one matrix of each model."""

    def shape(component: Component, place: str) -> tuple[int, int]:
        rows, columns = component.weights[f"{place}.weight"].shape
        return rows, columns

    unet, encoder = (checkpoint.components[spec.name] for spec in (UNET, ENCODER))
    return {
        f"lora_unet_{UNET_PLACE.replace('.', '_')}": shape(unet, UNET_PLACE),
        f"lora_te_text_model_{ENCODER_PLACE.replace('.', '_')}": shape(encoder, ENCODER_PLACE),
    }


@pytest.fixture
async def registry(tmp_path: Path, shapes: dict[str, tuple[int, int]]) -> LoraRegistry:
    """`both` changes both models, `unet` the UNet alone with some keys too many, `stray` nothing."""
    registry = LoraRegistry(tmp_path / "loras", Limits())
    unet = {name: shape for name, shape in shapes.items() if name.startswith("lora_unet_")}
    strays = {f"lora_unet_nowhere_{number}": (4, 4) for number in range(4)}
    await registry.add("both", save_lora(tmp_path / "both.safetensors", shapes))
    await registry.add("unet", save_lora(tmp_path / "unet.safetensors", unet | strays))
    await registry.add("stray", any_lora(tmp_path))
    return registry


def weight(lora: Lora, value: float) -> LoraWeight:
    return LoraWeight(lora.digest, str(lora.path), value)


async def chosen(registry: LoraRegistry, entry: Entry, asked: Asked) -> LoraChoice:
    assert entry.checkpoint is not None
    job = check(asked, entry.checkpoint, Limits())
    async with LoraChooser(registry).choose(job.loras, entry) as choice:
        return choice


async def test_each_model_gets_what_changes_it_in_order(registry: LoraRegistry, entry: Entry) -> None:
    both, unet = registry.get("both"), registry.get("unet")
    choice = await chosen(
        registry,
        entry,
        request(
            "a <lora:both:0.25:0> fox <lora:unet:te=2:unet=3>",
            loras=[{"name": "unet"}, {"name": "both", "weight": 0.5}, {"name": "both", "text_encoder_weight": -1}],
        ),
    )
    values = [(unet, 1), (both, 0.5), (both, 1), (unet, 3)]
    assert choice.of(UNET.name) == tuple(weight(lora, value) for lora, value in values)
    assert choice.of(ENCODER.name) == tuple(weight(both, value) for value in (0.5, -1, 0.25))
    assert choice.sets.keys() == {ENCODER.name, UNET.name}
    assert [tuple(each) for each in choice.names] == [
        ("unet", 1, 1), ("both", 0.5, 0.5), ("both", 1, -1), ("both", 0, 0.25), ("unet", 3, 2)
    ]  # fmt: skip


async def test_keys_that_fit_nothing_are_a_warning(registry: LoraRegistry, entry: Entry) -> None:
    choice = await chosen(registry, entry, request("<lora:unet><lora:unet><lora:both>"))
    keys = ", ".join(f"lora_unet_nowhere_{number}" for number in range(3))
    assert choice.warnings == (f"lora 'unet': 4 of its 5 keys fit nothing here: {keys}, ...",)


async def test_a_lora_that_changes_nothing_is_a_warning_unless_asked_for(registry: LoraRegistry, entry: Entry) -> None:
    choice = await chosen(registry, entry, request("<lora:unet:0.8:0>"))
    assert choice.sets == {}
    assert "lora 'unet' changes nothing" in choice.warnings[1]
    asked = await chosen(registry, entry, request("<lora:both:0>"))
    assert replace(asked, content={}) == LoraChoice(names=(("both", 0, 0),))  # type: ignore[arg-type]
    assert asked.content["both"].digest == registry.get("both").digest


async def test_what_fits_nothing_or_is_not_known_is_refused(registry: LoraRegistry, entry: Entry) -> None:
    with pytest.raises(
        LoraInvalidError, match=r"^loras: 'stray' does not fit the checkpoint 'demo': none of"
    ) as caught:
        await chosen(registry, entry, request("<lora:stray>"))
    assert caught.value.metadata == {"field": "loras", "file": "stray"}
    assert str(registry.get("stray").path) not in caught.value.message
    with pytest.raises(NotFoundError, match="'nope' is not known; there are: both, stray, unet"):
        await chosen(registry, entry, request("<lora:nope:0>"))


@pytest.fixture(scope="module")
def experts(checkpoints: dict[str, Path]) -> list[Entry]:
    """A base and its refiner."""
    entries = [Entry(name, checkpoints[name], "onnxruntime") for name in ("sdxl", "refiner")]
    for each in entries:
        each.open()
    return entries


async def test_of_two_checkpoints_each_gets_what_fits_it(tmp_path: Path, experts: list[Entry]) -> None:
    registry = LoraRegistry(tmp_path / "loras", Limits())
    modules = {
        "base": {
            "lora_unet_down_blocks_1_attentions_0_proj_in": (16, 16),
            "lora_te2_text_model_encoder_layers_0_mlp_fc1": (96, 48),
        },
        "refiner": {"lora_unet_down_blocks_1_attentions_0_proj_in": (12, 12)},
        "either": {"lora_unet_time_embedding_linear_2": (32, 32)},
    }
    for name, shapes in modules.items():
        await registry.add(name, save_lora(tmp_path / f"{name}.safetensors", shapes))
    base, refiner, either = (registry.get(name) for name in modules)
    asked = asked_loras("a <lora:base:0.5> <lora:refiner:0.25> <lora:either>", {}, (), Limits())[1]
    async with LoraChooser(registry).choose(asked, *experts) as choice:
        assert choice.sets == {UNET.name: (weight(base, 0.5), weight(either, 1)), "encoder_2": (weight(base, 0.5),)}
        assert choice.refiner_sets == {UNET.name: (weight(refiner, 0.25), weight(either, 1))}
    assert choice.warnings == (
        "lora 'base' does not fit the checkpoint 'refiner' and changes nothing there",
        "lora 'refiner' does not fit the checkpoint 'sdxl' and changes nothing there",
    )
    async with LoraChooser(registry).choose(asked_loras("<lora:either>", {}, (), Limits())[1], experts[0]) as choice:
        assert choice.refiner_sets == {}
    both = asked_loras("<lora:base>", {}, (), Limits())[1]
    async with LoraChooser(registry).choose(both, experts[0], experts[0]) as choice:
        assert choice.sets == choice.refiner_sets != {} and choice.warnings == ()


async def test_what_fits_neither_of_two_is_refused(registry: LoraRegistry, experts: list[Entry]) -> None:
    with pytest.raises(LoraInvalidError, match="'stray' does not fit the checkpoint 'sdxl'"):
        async with LoraChooser(registry).choose(asked_loras("<lora:stray>", {}, (), Limits())[1], *experts):
            pass


async def test_files_are_held_while_the_job_runs(registry: LoraRegistry, entry: Entry) -> None:
    assert entry.checkpoint is not None
    job = check(request("<lora:both>"), entry.checkpoint, Limits())
    path = registry.get("both").path
    async with LoraChooser(registry).choose(job.loras, entry):
        registry.remove("both")
        assert path in registry.get("unet").path.parent.iterdir()
    assert path not in registry.get("unet").path.parent.iterdir()


async def test_a_refused_choice_holds_nothing(registry: LoraRegistry, entry: Entry) -> None:
    path = registry.get("both").path
    with pytest.raises(LoraInvalidError):
        await chosen(registry, entry, request("<lora:both><lora:stray>"))
    registry.remove("both")
    assert path not in registry.get("unet").path.parent.iterdir()


async def test_a_file_that_is_gone_or_spoilt_is_not_the_callers_fault(registry: LoraRegistry, entry: Entry) -> None:
    lora = registry.get("both")
    sound = lora.path.read_bytes()
    lora.path.unlink()
    with pytest.raises(LoraBrokenError, match="'both' cannot be used, its file is gone; add it again") as caught:
        await chosen(registry, entry, request("<lora:both>"))
    assert caught.value.metadata == {"field": "loras", "lora": "both"} and str(lora.path) not in caught.value.message
    lora.path.write_bytes(bytes(len(sound)))
    with pytest.raises(LoraBrokenError, match="'both' cannot be used, its file is no LoRA that can be read any more"):
        await chosen(registry, entry, request("<lora:both>"))
    assert registry.problem(lora) == "its file is no LoRA that can be read any more"


async def test_both_text_encoders_get_the_text_encoders_weight(tmp_path: Path, sdxl: Path) -> None:
    entry = Entry("sdxl", sdxl, "onnxruntime")
    entry.open()
    assert entry.checkpoint is not None
    lora = making.random_lora(entry.checkpoint.components, family="sdxl")
    registry = LoraRegistry(tmp_path / "loras", Limits())
    added = await registry.add("all", making.save(tmp_path / "all.safetensors", making.kohya_sdxl(lora)))
    choice = await chosen(registry, entry, request("<lora:all:te=0.5:unet=2>"))
    assert choice.sets == {
        "encoder": (weight(added, 0.5),),
        "encoder_2": (weight(added, 0.5),),
        "unet": (weight(added, 2),),
    }
    assert choice.warnings == ()


async def told(registry: LoraRegistry, entry: Entry, error: TriptychError) -> TriptychError:
    """What a caller hears of a stage's error."""
    with pytest.raises(TriptychError) as caught:
        async with LoraChooser(registry).choose(check_names(entry, "both"), entry):
            raise error
    return caught.value


async def test_what_a_stage_says_of_a_file_is_said_by_its_name(registry: LoraRegistry, entry: Entry) -> None:
    lora = registry.get("both")
    heard = await told(registry, entry, LoraInvalidError(f"{lora.path}: x: its numbers", file=str(lora.path)))
    assert (type(heard), heard.message) == (LoraInvalidError, "loras: 'both': x: its numbers")
    assert heard.metadata == {"field": "loras", "file": "both"}
    complaint = LoraBrokenError(f"{lora.path} cannot be read: No such file", digest=lora.digest)
    heard = await told(registry, entry, complaint)
    assert (
        isinstance(heard, LoraBrokenError) and "'both' cannot be used, a stage does not see its file" in heard.message
    )
    assert str(lora.path) not in heard.message and registry.problem(lora) == ""
    lora.path.chmod(0o644)
    lora.path.write_bytes(lora.path.read_bytes()[:-1] + b"x")
    heard = await told(registry, entry, complaint)
    assert "'both' cannot be used, its file was changed" in heard.message
    assert registry.problem(lora) == "its file was changed"


async def test_other_errors_are_left_as_they_are(registry: LoraRegistry, entry: Entry) -> None:
    for error in (NotFoundError("x"), LoraInvalidError("about no file")):
        assert await told(registry, entry, error) is error


async def test_matches_are_remembered_by_content_checkpoint_and_load(
    registry: LoraRegistry, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    matched = []
    match_lora = lora_choice.match_lora

    def counting(*arguments: Any) -> Any:
        matched.append(arguments)
        return match_lora(*arguments)

    monkeypatch.setattr(lora_choice, "match_lora", counting)
    await registry.add("same", registry.get("both").path)
    chooser, names = LoraChooser(registry), ("both", "same", "both")
    for name in names:
        async with chooser.choose(check_names(entry, name), entry):
            pass
    assert len(matched) == 1
    monkeypatch.setattr(entry, "loads", entry.loads + 1)
    async with chooser.choose(check_names(entry, "both"), entry):
        pass
    assert len(matched) == 2


def check_names(entry: Entry, name: str) -> LoraChoice:
    assert entry.checkpoint is not None
    return check(request(loras=[{"name": name}]), entry.checkpoint, Limits()).loras


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("loras", request(loras=[{"name": "a", "weight": float("nan")}])),
        ("loras", request(loras=[{"name": "a", "weight": 101}])),
        ("loras", request(loras=[{"name": "a", "text_encoder_weight": float("-inf")}])),
        ("loras", request(loras=[{"name": "a"}] * 33)),
        ("prompt", request("<lora:a>" * 33)),
        ("prompt", request("<lora:a>" * 17, loras=[{"name": "a"}] * 16)),
        ("prompt", request("<lora:a:x>")),
    ],
)
def test_bad_fields_are_named(checkpoint: Checkpoint, field: str, asked: Asked) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check(asked, checkpoint, Limits())
    assert caught.value.metadata["field"] == field


def test_an_operator_may_allow_none(checkpoint: Checkpoint) -> None:
    limits = Limits().with_changes(["max_loras=0", "max_lora_bytes=1000"])
    assert limits.max_lora_bytes == 1000
    assert check(request(), checkpoint, limits).loras == LoraChoice()
    with pytest.raises(InvalidArgumentError, match="1 LoRAs are more than the 0"):
        check(request("<lora:a>"), checkpoint, limits)
    with pytest.raises(InvalidArgumentError, match="max_lora_bytes"):
        Limits().with_changes(["max_lora_bytes=0"])


def described(job: Job) -> str:
    return describe(job, 7, 0).partition("\nSteps: ")[0]


async def test_a_pin_is_a_name_and_another_kind_of_tag_a_warning(registry: LoraRegistry, entry: Entry) -> None:
    both = registry.get("both")
    pin = f"both@{both.digest[:10]}"
    choice = await chosen(registry, entry, request(f"<lyco:{pin}:0.5> <hypernet:ink:1>", loras=[{"name": pin}]))
    assert choice.of(UNET.name) == (weight(both, 1), weight(both, 0.5))
    assert choice.warnings == ("<hypernet:ink:1> is no tag that is known; it is read as text",)


def test_tags_leave_the_prompt_and_come_back_in_the_metadata(checkpoint: Checkpoint) -> None:
    asked = request("<lora:a:0.5> a fox <lora:b:te=0:unet=0.8> ", negative_prompt="a <lora:c:1>", loras=[{"name": "d"}])
    job = check(asked, checkpoint, Limits())
    assert (job.prompt, job.negative_prompt) == (" a fox  ", "a <lora:c:1>")
    assert job.loras.warnings == ("LoRA tags are read in the prompt only, not in negative_prompt",)
    assert described(job) == "a fox <lora:d:1> <lora:a:0.5> <lora:b:0:0.8>\nNegative prompt: a <lora:c:1>"
    assert described(check(request("<lora:a>"), checkpoint, Limits())) == "<lora:a:1>"
    assert described(check(request(" a fox "), checkpoint, Limits())) == " a fox "


async def test_few_files_are_read_at_a_time_however_many_requests_come(
    registry: LoraRegistry, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    match_lora, lock, two_inside = lora_choice.match_lora, threading.Lock(), threading.Barrier(2)
    inside: list[int] = [0]

    def matching(*arguments: Any) -> Any:
        with lock:
            inside.append(inside[-1] + 1)
        two_inside.wait(60)
        match = match_lora(*arguments)
        two_inside.wait(60)  # so that no third one could have come unseen
        with lock:
            inside.append(inside[-1] - 1)
        return match

    monkeypatch.setattr(lora_choice, "match_lora", matching)
    chooser = LoraChooser(registry)

    async def choose(number: int) -> LoraChoice:
        asked = asked_loras("", {}, [LoraUse("both")], Limits())[1]
        async with chooser.choose(asked, replace(entry, number=number)) as choice:
            return choice

    choices = await asyncio.gather(*map(choose, range(-6, 0)))
    assert max(inside) == 2 and len(choices) == 6 and all(choice.sets for choice in choices)
