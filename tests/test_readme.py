"""What the documents say can be done: commands parse, targets and linked files exist, Python compiles."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

import triptych
from triptych.cli.main import build_parser

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(path for pattern in ("*.md", "docs/*.md", "training/*.md") for path in ROOT.glob(pattern))
README = ROOT / "README.md"


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[str]:
    lines = [line for path in DOCUMENTS for block in blocks(path, "sh") for line in block.splitlines()]
    return [line for line in lines if line.split() and line.split()[0] == program]


def test_the_readme_has_commands() -> None:
    assert len(commands("triptych")) >= 6
    assert len(commands("make")) >= 2


@pytest.mark.parametrize("line", commands("triptych"))
def test_commands_parse(line: str) -> None:
    build_parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("line", commands("make"))
def test_targets_exist(line: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [word for word in shlex.split(line, comments=True)[1:] if "=" not in word]
    assert set(named) <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_linked_files_exist(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert target.startswith("http") or (path.parent / target).exists(), target


def test_python_blocks_use_names_that_exist() -> None:
    source = "\n".join(blocks(README, "python"))
    compile(source, "README.md", "exec")
    for name in re.findall(r"\btriptych\.([A-Za-z_]+)", source):
        assert hasattr(triptych, name), name


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (\S+)", makefile, re.MULTILINE)
    assert phony
    for target in phony:
        assert re.search(rf"^{target}:.*## \S", makefile, re.MULTILINE), target


def test_what_needs_more_than_others_runs_only_when_it_is_named() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    markers = {marker.partition(":")[0] for marker in options["markers"] if "run with `make" in marker}
    (left_out,) = re.findall(r"-m 'not \((.*)\)'", options["addopts"])
    assert markers == set(left_out.split(" or "))


def test_changelog_has_this_version() -> None:
    assert f"## {triptych.__version__}" in (ROOT / "CHANGELOG.md").read_text()
