"""Every two values of two parameters meet in a picture that diffusers makes as well; `make parity` takes all values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Served
from tests.parity.matrix import CONTROLLED, PARAMETERS, Case, pairwise
from tests.parity.oracle import TOLERANCE, difference
from tests.parity.sources import Sources


@pytest.fixture(scope="module")
def sources(
    served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sources]:
    made = Sources(served.client, checkpoints, tmp_path_factory.mktemp("files"))
    yield made
    made.close()


def cases() -> Iterator[object]:
    """One checkpoint after the other. Those with ControlNets are `slow`; tests/e2e/controls has some of each."""
    for case in sorted((case for task in PARAMETERS for case in pairwise(task)), key=lambda case: case.checkpoint):
        yield pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.task in CONTROLLED else [])


@pytest.mark.parametrize("case", list(cases()))
def test_every_pair_of_values(served: Served, sources: Sources, case: Case) -> None:
    sources.let_go_of_others(case)
    assert difference(case, served.client, sources.folder(case), sources.others(case)) <= TOLERANCE
