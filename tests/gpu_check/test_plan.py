from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from triptych.errors import InvalidArgumentError
from triptych.gpu_check.machine import Machine
from triptych.gpu_check.measures import MEASURES
from triptych.gpu_check.plan import first_visits, further_visits
from triptych.gpu_check.running import placement
from triptych.gpu_check.settings import MODELS, Settings
from triptych.gpu_check.sides import SIDES
from triptych.measuring.checkpoints import SIZES

SETTINGS = Settings(Path("gpu.md"), Path("folder"))
NAMED = {side.name: side for side in SIDES}
WHOLE = Machine(
    devices=("cuda:0",), gpus="1 x NVIDIA H100, 80 GiB", driver="580.1", processor="16 cores", torch="2.13.0",
    cuda="13.0", torch_problem="", tensorrt="10.13.3.9", tensorrt_problem="", triton_problem="", onnxruntime="1.31.1",
    diffusers="0.42.1", triptych="0.1.0",
)  # fmt: skip


def rows(settings: Settings = SETTINGS) -> list[str]:
    return [row.id for visits in (first_visits, further_visits) for visit in visits(settings) for row in visit.rows]


def test_the_first_model_at_its_first_size_comes_first() -> None:
    first = [row.id for visit in first_visits(SETTINGS) for row in visit.rows]
    kinds = ("diffusers/picture", "diffusers/control", "torch/picture")
    assert first[:3] == [f"sd15/{kind}/512" for kind in kinds]
    assert all(row.split("/")[0] == "sd15" and row.endswith("/512") for row in first)
    assert first.index("sd15/diffusers-compiled/picture/512") < first.index("sd15/tensorrt/picture/512")
    assert first[-1] == "sd15/tensorrt-plain/picture/512"


def test_everything_that_is_promised_is_in_it_once() -> None:
    planned = rows()
    assert len(planned) == len(set(planned))
    for model in MODELS:
        for side in ("diffusers", "diffusers-compiled", "torch", "tensorrt", "torch-split", "tensorrt-split"):
            assert {f"{model}/{side}/picture/{edge}" for edge in (512, 768, 1024)} <= set(planned)
        for side in ("torch", "tensorrt"):
            assert {f"{model}/{side}/{kind}/512" for kind in MEASURES} <= set(planned)


def test_rows_can_be_chosen_by_their_names() -> None:
    assert rows(replace(SETTINGS, only=("sd21", "tensorrt", "768"))) == ["sd21/tensorrt/picture/768"]
    assert rows(replace(SETTINGS, only=("sd15/torch/swap/512",))) == ["sd15/torch/swap/512"]
    assert rows(replace(SETTINGS, only=("sd3",))) == []


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({}, {"torch-split": "2 GPUs", "tensorrt-split": "2 GPUs"}),
        ({"devices": ("cuda:0", "cuda:1")}, {}),
        ({"devices": ("cuda:0", "cuda:1"), "tensorrt_problem": "refused"}, dict.fromkeys(
            ("tensorrt", "tensorrt-split", "tensorrt-plain"), "refused")),
        ({"devices": ("cpu", "cpu")}, dict.fromkeys(("tensorrt", "tensorrt-split", "tensorrt-plain"), "needs a GPU")),
        ({"diffusers": ""}, dict.fromkeys((side.name for side in SIDES if side.is_meant_for(WHOLE)), "not installed")),
    ],
)  # fmt: skip
def test_what_is_absent_says_why(changes: dict[str, object], absent: dict[str, str]) -> None:
    machine = replace(WHOLE, **changes)  # type: ignore[arg-type]
    told = {s.name: why for s in SIDES if s.is_meant_for(machine) and (why := s.why_absent(machine))}
    assert told.keys() == absent.keys() and all(absent[name] in why for name, why in told.items())


def test_engines_alone_stand_in_for_servers_that_cannot_run() -> None:
    assert not NAMED["torch-engines"].is_meant_for(WHOLE)
    machine = replace(WHOLE, triton_problem="the server needs Python 3.11")
    assert NAMED["torch-engines"].is_meant_for(machine) and not NAMED["torch-engines"].why_absent(machine)
    assert NAMED["torch"].why_absent(machine) == "the server needs Python 3.11"


def test_what_is_for_a_cpu_is_measured_there_alone() -> None:
    assert [side.name for side in SIDES if not side.is_meant_for(WHOLE)] == ["onnxruntime", "torch-engines"]
    assert NAMED["onnxruntime"].is_meant_for(replace(WHOLE, devices=("cpu",)))


def test_a_split_has_a_unet_on_each_gpu() -> None:
    devices = ["cuda:0", "cuda:1", "cuda:2"]
    alone, split = (placement(NAMED[name], devices) for name in ("tensorrt", "tensorrt-split"))
    assert alone.count("[[replica]]") == 3 and "cuda:1" not in alone and alone.count('precision = "fp16"') == 3
    assert split.count('stage = "unet"') == 2 and split.count("cuda:1") == 1 and "cuda:2" not in split


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"models": ("sd3",)}, f"models: 'sd3' is none of {', '.join(SIZES)}"),
        ({"models": ()}, "models: names none"),
        ({"edges": (500,)}, "edges: 500 is not a multiple of 64"),
        ({"devices": ("gpu",)}, "device: 'gpu' is neither cpu nor cuda:<index>"),
        ({"minutes": 0.0}, "minutes: 0.0 is not above 0"),
        ({"wheels": Path("nowhere")}, "wheels: nowhere is not a directory"),
    ],
)
def test_wrong_settings_name_their_field(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match="^" + problem):
        replace(SETTINGS, **changes).validate()  # type: ignore[arg-type]
