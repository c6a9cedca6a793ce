"""The benchmarks of ControlNets and adapters with models that are next to nothing: each runs to its end and judges."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
JUDGED = {
    "control-request": ["a step with one ControlNet / without", "controlled, seconds of diffusers'"],
    "control-switch": ["first picture, hash known, seconds beyond", "first picture, hash anew, seconds beyond"],
    "control-at-once": ["median of the rounds' ratios"],
    "control-unused": ["each more, in the mean"],
    "adapter-request": ["a step, t2i-adapter / without", "ip-adapter, seconds of diffusers'"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of them find the same models and graphs."""
    return tmp_path_factory.mktemp("benchmarks")


@pytest.mark.parametrize("name", JUDGED)
def test_it_measures_and_judges(folder: Path, name: str) -> None:
    unet = "tiny-sd15" if name == "adapter-request" else "tiny"
    command = [sys.executable, "-m", "benchmarks", name, "--unet", unet, "--size", "64", "--steps", "2"]
    run = subprocess.run(
        [*command, "--rounds", "2", "--folder", folder], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    # A target may be missed where models cost nothing; whatever is wrong ends it otherwise, or leaves a figure out.
    assert run.returncode in (0, 1) and "Traceback" not in run.stderr, run.stderr
    for judged in JUDGED[name]:
        figures = re.findall(rf"^{re.escape(judged)}.*?: *(-?[\d.]+)", run.stdout, re.MULTILINE)
        assert figures and all(float(figure) < 1e6 for figure in figures), run.stdout
