"""What can be said of the images without building them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from triptych.contract import STAGES
from triptych.embedded.config import BUILDING_STARTUP_S

ROOT = Path(__file__).parents[2]
DOCKERFILES = {stage: ROOT / "services" / stage / "Dockerfile" for stage in STAGES}
DOCKERFILES |= {role: ROOT / role / "Dockerfile" for role in ("orchestrator", "gateway")}
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


def test_the_gpu_image_has_packages_and_caches_of_its_own() -> None:
    lines = (ROOT / "deploy" / "gpu.Dockerfile").read_text().replace("\\\n", " ").splitlines()
    pairs = (pair.split("=", 1) for line in lines if line.startswith("ENV ") for pair in line.split()[1:])
    variables = dict(pairs)
    assert variables["PYTHONPATH"] == ""
    caches = {name: Path(value) for name, value in variables.items() if "CACHE" in name and name != "PIP_NO_CACHE_DIR"}
    assert len(caches) == 4
    assert all(path.is_relative_to("/var/lib/triptych/cache") for path in caches.values())


def test_a_gpu_stack_is_not_unhealthy_while_it_builds() -> None:
    orchestrator = (ROOT / "compose.gpu.yaml").read_text().partition("  orchestrator:\n")[2].partition("\n\n")[0]
    (start_period_s,) = re.findall(r"start_period: (\d+)s", orchestrator)
    assert float(start_period_s) >= BUILDING_STARTUP_S


def test_the_dependencies_layer_holds_what_the_package_wants() -> None:
    command = [sys.executable, str(DEPENDENCIES), str(ROOT / "pyproject.toml"), "server,torch"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert extras["server"][0] == "triptych[gateway]"
    assert printed == project["dependencies"] + extras["gateway"] + extras["server"][1:] + extras["torch"]


def test_an_unknown_extra_fails_the_build() -> None:
    command = [sys.executable, str(DEPENDENCIES), str(ROOT / "pyproject.toml"), "serve"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0
