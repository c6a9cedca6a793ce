"""What can be said of the images without building them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from triptych.contract import STAGES

ROOT = Path(__file__).parents[2]
DOCKERFILES = {stage: ROOT / "services" / stage / "Dockerfile" for stage in STAGES}
DOCKERFILES["orchestrator"] = ROOT / "orchestrator" / "Dockerfile"
DEPENDENCIES = ROOT / "deploy" / "dependencies.py"


def body(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:-1]


@pytest.mark.parametrize("role", DOCKERFILES)
def test_the_roles_images_share_all_layers(role: str) -> None:
    assert body(DOCKERFILES[role]) == body(DOCKERFILES["encoder"])
    assert str(DOCKERFILES[role].relative_to(ROOT)) in DOCKERFILES[role].read_text().splitlines()[0]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_image_runs_its_stage(stage: str) -> None:
    assert DOCKERFILES[stage].read_text().splitlines()[-1] == f'ENTRYPOINT ["triptych", "stage", "{stage}"]'


@pytest.mark.parametrize("path", [*DOCKERFILES.values(), ROOT / "deploy" / "gpu.Dockerfile"], ids=str)
def test_nothing_runs_as_root(path: Path) -> None:
    users = [line for line in path.read_text().splitlines() if line.startswith("USER")]
    assert users[-1:] == ["USER 10001:10001"]


def test_the_dependencies_layer_holds_what_the_package_wants() -> None:
    command = [sys.executable, str(DEPENDENCIES), str(ROOT / "pyproject.toml"), "server,torch"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert printed == project["dependencies"] + extras["server"] + extras["torch"]


def test_an_unknown_extra_fails_the_build() -> None:
    command = [sys.executable, str(DEPENDENCIES), str(ROOT / "pyproject.toml"), "serve"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0
