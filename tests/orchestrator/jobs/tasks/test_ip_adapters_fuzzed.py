"""Fields of IP-Adapters, hundreds of ways together: refused by a field's name, or within what the fields allow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.e2e.ip_adapters.making import IMAGE_SIZE, save_ip_adapter
from tests.fuzzing import fuzzed
from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.tasks.ip_adapters import AskedIpAdapter, check_adapters, ip_adapters_of

NAMES = ("plain", "plain-xl", "sd2", "")
ADAPTERS = st.builds(
    AskedIpAdapter,
    name=st.sampled_from(NAMES[:1] * 12 + NAMES[1:]),
    images=st.lists(st.just(b"a picture"), max_size=6).map(tuple),
    scale=st.sampled_from([None] * 6 + [0.0, 1.0, 10.0]) | st.floats(),
)


@pytest.fixture(scope="module")
def opened(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    root = tmp_path_factory.mktemp("ip-adapters")
    paths = {
        "sd1": checkpoints["sd1"],
        "sd2": checkpoints["sd2"],
        "plain": save_ip_adapter(root / "sd1", checkpoints["sd1"]),
        "plain-xl": save_ip_adapter(root / "sdxl", checkpoints["sdxl"]),
    }
    return {name: Checkpoint.open(path) for name, path in paths.items()}


@pytest.fixture(scope="module")
def refused() -> Iterator[set[str]]:
    """Fields that something was refused for: each, in the end, and what holds for all."""
    found = set[str]()
    yield found
    assert found == {"name", "images", "scale", "ip_adapters"}


def check_one(opened: dict[str, Checkpoint], refused: set[str], asked: list[AskedIpAdapter]) -> None:
    try:
        check_adapters(asked)
        adapters = ip_adapters_of(asked, [opened[each.name] for each in asked], opened["sd1"])
    except InvalidArgumentError as error:
        field = error.metadata["field"]
        assert error.message.startswith(f"{field}: ")
        named = re.fullmatch(r"ip_adapters\[(\d)\]\.(\w+)|ip_adapters", field)
        assert named and int(named[1] or 0) < len(asked)
        refused.add(named[2] or field)
        return
    assert len(adapters) == len(asked) <= 4
    for adapter in adapters:
        assert adapter.name == "plain" and 0 <= adapter.scale <= 10 and adapter.size == IMAGE_SIZE


test_each_is_refused_by_name_or_holds, test_each_of_many_is_so = fuzzed(120, asked=st.lists(ADAPTERS, max_size=5))(
    check_one
)
