"""Every two values of two parameters meet in a picture that diffusers makes as well; `make parity` takes all values."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Served
from tests.parity.matrix import PARAMETERS, Case, pairwise
from tests.parity.oracle import TOLERANCE, difference


@pytest.mark.parametrize("case", [case for task in PARAMETERS for case in pairwise(task)], ids=lambda case: case.name)
def test_every_pair_of_values(served: Served, checkpoints: dict[str, Path], case: Case) -> None:
    assert difference(case, served.client, checkpoints) <= TOLERANCE
