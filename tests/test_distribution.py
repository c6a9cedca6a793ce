"""What `make dist` builds: complete, installable without the clone, and true about what it needs."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterable, Iterator
from email.message import Message
from email.parser import Parser
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from PIL import Image

from tests.sdk.conftest import server
from tests.sdk.fake_server import FakeServer
from tools.ship_graphs import shipped

__all__ = ["server"]

ROOT = Path(__file__).parent.parent
# Packages of the wheel that a client imports nothing of.
SERVER_PACKAGES = {"checkpoint", "engine", "gpu_check", "lora", "measuring", "stage"}
# What Triton itself gives to the models that it runs.
GIVEN = {"triton_python_backend_utils"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both; the wheel is built from the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def run(*command: str | Path, folder: Path | None = None, timeout_s: float = 240, **environment: str) -> str:
    """What a command says, in an environment that knows nothing of the clone."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TRIPTYCH_"))}
    done = subprocess.run(
        command, cwd=folder, env=ours | environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def requirements(metadata: Message, *extras: str, python: str = "3.11") -> Iterator[Requirement]:
    """What is asked for on a Python, with some of the extras."""
    for text in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({"extra": extra, "python_version": python}) for extra in ("", *extras)
        ):
            yield requirement


def test_the_wheel_alone_makes_a_picture(wheel: Path, tmp_path: Path) -> None:
    """Its dependencies are those of this environment, linked: installing a gigabyte takes minutes."""
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv/bin/python"
    install = ("install", "--quiet", "--no-deps", "--no-index", "--no-compile")
    run(sys.executable, "-m", "pip", "--python", python, *install, wheel)
    linked = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site_packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text("\n".join(linked))
    code = "import triptych, triptych_orchestrator, triptych_unet as unet; print(triptych.__file__, unet.__file__)"
    assert all(Path(file).is_relative_to(site_packages) for file in run(python, "-c", code, folder=tmp_path).split())
    code = "import triptych.gpu_check.clone as clone; print(clone.find_clone())"
    assert run(python, "-c", code, folder=tmp_path) == "None\n"  # so that it looks for no tests
    draw(tmp_path / "venv/bin/triptych", tmp_path)


@pytest.mark.slow
def test_an_empty_environment_makes_a_picture(wheel: Path, tmp_path: Path) -> None:
    draw(installed(Path(sys.executable), f"{wheel}[server]", tmp_path), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_a_client_alone(python: str, wheel: Path, tmp_path: Path, server: FakeServer) -> None:
    triptych = installed(interpreter(python), str(wheel), tmp_path)
    assert run(triptych, "generate", "x", "-o", "x.jpg", "--address", server.address, folder=tmp_path) == "x.jpg\n"
    server_part = subprocess.run([triptych, "demo"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert server_part.returncode == 8
    remedy = (
        "pip install 'triptych[server]'" if python == "3.11" else "'triptych[server]' in an environment of Python 3.11"
    )
    assert remedy in server_part.stderr and "Traceback" not in server_part.stderr


def installed(python: Path, what: str, folder: Path) -> Path:
    """The command, in an environment of its own."""
    run(python, "-m", "venv", folder / "venv")
    run(folder / "venv/bin/python", "-m", "pip", "install", "--quiet", what, timeout_s=1500)
    return folder / "venv/bin/triptych"


def interpreter(python: str) -> Path:
    """A Python of that version: on PATH, or beside this one as pyenv keeps them."""
    beside = sorted(Path(sys.base_prefix).parent.glob(f"{python}.*/bin/python{python}"))
    for path in [Path(sys.executable), *filter(None, [shutil.which(f"python{python}")]), *beside]:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if said.stdout.startswith(f"Python {python}."):
            return Path(path)
    pytest.skip(f"there is no Python {python} here")


def draw(triptych: Path, folder: Path) -> None:
    """A picture of the demo checkpoint, by the command alone."""
    arguments = ("demo", "--steps", "3", "--seed", "7", "--quiet", "--output", "out.png")
    assert run(triptych, *arguments, folder=folder, HOME=str(folder)) == "out.png\n"
    with Image.open(folder / "out.png") as image:
        assert image.size == (128, 128)
        assert "Seed: 7" in image.info["parameters"]


def test_the_source_distribution_holds_all_that_is_kept(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "Makefile", "protos/triptych/v1/system.proto", "tests/conftest.py", "tools/generate.py"} <= held
    if (ROOT / ".git").exists():
        assert set(run("git", "ls-files", folder=ROOT).splitlines()) <= held


def test_what_the_metadata_says(wheel: Path, metadata: Message) -> None:
    pythons = SpecifierSet(metadata["Requires-Python"])
    assert [minor for minor in range(20) if f"3.{minor}" in pythons] == list(range(11, 20))
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
    assert "\n## Serve\n" in metadata.get_payload()
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        (license_text,) = (archive.read(name) for name in archive.namelist() if name.endswith("/licenses/LICENSE"))
    assert license_text == (ROOT / "LICENSE").read_bytes()
    assert {"py.typed", "__main__.py", "demo/checkpoint/unet/diffusion_pytorch_model.safetensors"} <= names
    assert {"demo/controlnets/canny/config.json", "demo/loras/stripes.safetensors"} <= names
    assert "demo/controlnets/canny/diffusion_pytorch_model.safetensors" in names
    assert "checkpoint/sources/clip_vocabulary/LICENSE.open_clip" in names


def test_the_graphs_of_the_standard_architectures_come_along(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        graphs = [file for file in archive.infolist() if file.filename.startswith("triptych/engine/graphs/")]
    assert sum(file.filename.endswith("/graph.onnx.gz") for file in graphs) == len(shipped())
    assert sum(file.compress_size for file in graphs) < 2_000_000


@pytest.mark.parametrize("python", ["3.12", "3.13", "3.14"])
def test_on_other_pythons_there_is_a_client_and_no_server(metadata: Message, python: str) -> None:
    """But a gateway, which is a client."""
    client = {requirement.name for requirement in requirements(metadata, "gateway", python=python)}
    assert {requirement.name for requirement in requirements(metadata, "server", "torch", python=python)} == client
    assert client < {requirement.name for requirement in requirements(metadata, "server")}


def test_what_is_asked_for_is_what_these_tests_have(metadata: Message) -> None:
    for requirement in requirements(metadata, "server", "torch", "dev"):
        assert requirement.specifier.contains(version(requirement.name), prereleases=True), requirement


@pytest.mark.parametrize("for_client", [True, False], ids=["client", "server"])
def test_what_is_imported_is_asked_for(metadata: Message, wheel: Path, for_client: bool) -> None:
    extras = ("hub",) if for_client else ("server", "torch", "hub", "tensorrt")
    asked = {canonicalize_name(requirement.name) for requirement in requirements(metadata, *extras)}
    providers = packages_distributions()
    with zipfile.ZipFile(wheel) as archive:
        sources = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")}
    checked = [name for name in sources if is_clients(name) or not for_client]
    assert len(checked) > 40
    for name in checked:
        for module in imported(sources[name]):
            if module not in sys.stdlib_module_names and not module.startswith("triptych") and module not in GIVEN:
                provided_by = {canonicalize_name(each) for each in providers.get(module, [module])}
                assert provided_by & asked, f"{name} imports {module}"


def is_clients(name: str) -> bool:
    package, _, rest = name.partition("/")
    return package == "triptych" and rest.partition("/")[0] not in SERVER_PACKAGES


def imported(source: str) -> Iterable[str]:
    """The first part of every module's name that is imported absolutely."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]
