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
    """Those with ControlNets are many, and their models take memory: tests/e2e/controls has some of each."""
    for task in PARAMETERS:
        marks = [pytest.mark.slow] if task in CONTROLLED else []
        yield from (pytest.param(case, id=case.name, marks=marks) for case in pairwise(task))


@pytest.mark.parametrize("case", list(cases()))
def test_every_pair_of_values(served: Served, sources: Sources, case: Case) -> None:
    assert difference(case, served.client, sources.folder(case), sources.others(case)) <= TOLERANCE
