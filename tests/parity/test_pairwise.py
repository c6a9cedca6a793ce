"""Every two values of two parameters meet in a picture that diffusers makes as well; `make parity` takes all values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Served
from tests.parity.matrix import CONTROLLED, EDITING, PARAMETERS, Case, pairwise
from tests.parity.oracle import TOLERANCE, difference
from tests.parity.sources import Sources

SLOW = (*CONTROLLED, "prompted")


@pytest.fixture(scope="module")
def sources(
    served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sources]:
    made = Sources(served.client, checkpoints, tmp_path_factory.mktemp("files"), engine_of)
    yield made
    made.close()


def engine_of(case: Case) -> str:
    """Of what edits pictures the UNet alone is on torch: all else is the family's own, which other cases draw with."""
    return "unet=torch" if (case.engine, case.task in EDITING) == ("torch", True) else case.engine


def cases() -> Iterator[object]:
    """One checkpoint after the other. With ControlNets and IP-Adapters they are `slow`; tests/e2e has some of each."""
    for case in sorted((case for task in PARAMETERS for case in pairwise(task)), key=place):
        yield pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.task in SLOW else [])


def place(case: Case) -> str:
    """The refiner with torch comes when it is loaded, behind the checkpoint that it refines for."""
    return case.checkpoint.replace("refiner-torch", "sdxl-torch-refiner")


@pytest.mark.parametrize("case", list(cases()))
def test_every_pair_of_values(served: Served, sources: Sources, case: Case) -> None:
    sources.let_go_of_others(case)
    assert difference(case, served.client, sources.folder(case), sources.others(case)) <= TOLERANCE
