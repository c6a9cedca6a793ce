"""Every two values of two parameters meet in a picture that diffusers makes as well; `make parity` takes all values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Served
from tests.parity.matrix import PARAMETERS, Case, pairwise
from tests.parity.oracle import TOLERANCE, difference
from tests.parity.sources import Sources


@pytest.fixture(scope="module")
def sources(
    served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sources]:
    made = Sources(served.client, checkpoints, tmp_path_factory.mktemp("files"))
    yield made
    made.close()


@pytest.mark.parametrize("case", [case for task in PARAMETERS for case in pairwise(task)], ids=lambda case: case.name)
def test_every_pair_of_values(served: Served, sources: Sources, case: Case) -> None:
    assert difference(case, served.client, sources.folder(case), sources.others(case)) <= TOLERANCE
