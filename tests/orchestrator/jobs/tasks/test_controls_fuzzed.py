"""Fields of ControlNets, hundreds of ways together: refused by a field's name, or within what the fields allow."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests import tiny
from tests.fuzzing import fuzzed
from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.hints.preparation import AskedPreparation
from triptych_orchestrator.jobs.tasks.controls import (
    CONTROL_MODES,
    HR_OPTIONS,
    AskedControl,
    check_count,
    controls_of,
)
from triptych_orchestrator.settings import Limits

OTHERS = ("Canny", "balanced ", "\0", "größer")
# Mostly left out, for of several wrong ones the first is told.
REALS = st.sampled_from([None] * 12 + [0.0, 0.25, 0.5, 1.0, 10.0]) | st.none() | st.none() | st.floats()
NETS = ("canny", "adapter", "canny-xl", "sd2")
PREPARATIONS = st.builds(
    AskedPreparation,
    st.sampled_from(["", "none", "canny", "inpaint", "inpaint", *OTHERS]),
    st.none() | st.integers(0, 2**32 - 1),
    REALS,
    REALS,
    st.sampled_from(["", "just_resize", "crop_and_resize", "resize_and_fill", *OTHERS]),
    st.booleans(),
)
CONTROLS = st.builds(
    AskedControl,
    name=st.sampled_from(NETS[:1] * 20 + NETS[1:2] * 8 + NETS[2:]),
    image=st.sampled_from([b"a picture"] * 20 + [b""]),
    conditioning_scale=REALS,
    guidance_start=REALS,
    guidance_end=REALS,
    control_mode=st.sampled_from([""] * 6 + [*CONTROL_MODES, *OTHERS[:1]]),
    preparation=st.just(AskedPreparation()) | PREPARATIONS,
    hr_option=st.sampled_from([""] * 6 + [*HR_OPTIONS, *OTHERS[:1]]),
    union_type=st.sampled_from([""] * 12 + ["canny", *OTHERS[:1]]),
    mask_image=st.sampled_from([b"", b"a mask"]),
)


@pytest.fixture(scope="module")
def opened(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    root = tmp_path_factory.mktemp("controls")
    paths = {
        "sd1": checkpoints["sd1"],
        "sd2": checkpoints["sd2"],
        "canny": tiny.save_controlnet(root / "canny", checkpoints["sd1"]),
        "adapter": tiny.save_t2i_adapter(
            root / "adapter", adapter_type="full_adapter", channels=[16, 32], downscale_factor=8
        ),
        "canny-xl": tiny.save_controlnet(root / "canny-xl", checkpoints["sdxl"]),
    }
    return {name: Checkpoint.open(path) for name, path in paths.items()}


@pytest.fixture(scope="module")
def refused() -> Iterator[set[str]]:
    """Fields that something was refused for: each of a control's, in the end, and what holds for all."""
    found = set[str]()
    yield found
    preparation = {"preprocessor", "processor_res", "threshold_a", "threshold_b", "resize_mode"}
    own = {field.name for field in fields(AskedControl)} - {"preparation", "guidance_end"}
    assert found >= own | {"preprocessor", "guess_mode", "controls"}
    assert found <= own | preparation | {"guidance_end", "guess_mode", "controls"}


def check_one(
    opened: dict[str, Checkpoint], refused: set[str], asked: list[AskedControl], guess_mode: bool, has_hires: bool
) -> None:
    nets = [opened[each.name] for each in asked]
    try:
        check_count(asked, Limits(max_controls=3))
        controls = controls_of(asked, nets, opened["sd1"], guess_mode=guess_mode, has_hires=has_hires)
    except InvalidArgumentError as error:
        field = error.metadata["field"]
        assert error.message.startswith(f"{field}: ")
        named = re.fullmatch(r"controls\[(\d)\]\.(\w+)|controls|guess_mode", field)
        assert named and int(named[1] or 0) < max(1, len(asked))
        refused.add(named[2] or field)
        return
    for control in controls:
        assert control.name in NETS[:2] and 0 <= control.conditioning_scale <= 10
        assert 0 <= control.guidance_start < control.guidance_end <= 1
        assert control.control_mode in CONTROL_MODES and control.hr_option in HR_OPTIONS
        assert all(map(math.isfinite, (control.preparation.threshold_a, control.preparation.threshold_b)))
        assert has_hires or control.hr_option == "both"
        assert not guess_mode or (control.name, control.control_mode) == ("canny", "balanced")


test_each_is_refused_by_name_or_holds, test_each_of_many_is_so = fuzzed(
    400, asked=st.lists(CONTROLS, max_size=4), guess_mode=st.booleans(), has_hires=st.booleans()
)(check_one)
