from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.gpu_check.test_plan import WHOLE
from triptych.gpu_check.wheels import install, missing_extras


@pytest.mark.parametrize(
    ("changes", "extras"),
    [
        ({}, []),
        ({"tensorrt": ""}, ["tensorrt"]),
        ({"tensorrt": "", "cuda": "12.8"}, ["tensorrt-cu12"]),
        ({"torch": "", "cuda": "", "tensorrt": ""}, ["torch", "tensorrt"]),
        ({"diffusers": "", "triton_problem": "none"}, ["server", "torch"]),
    ],
)
def test_only_what_is_missing_is_installed(changes: dict[str, str], extras: list[str]) -> None:
    assert missing_extras(replace(WHOLE, **changes)) == extras  # type: ignore[arg-type]


def test_a_folder_that_lacks_the_wheel_says_so(tmp_path: Path) -> None:
    """Nothing is asked of a package index, and nothing here is changed."""
    told = install("tensorrt", tmp_path, 60)
    assert told.startswith(f"triptych[tensorrt] cannot be installed from {tmp_path}: ") and "tensorrt-cu13" in told
