"""State files that are broken when the real orchestrator starts: set aside, said in the log, and it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

import triptych
from tests.conftest import Served
from tests.e2e.serving import orchestrator


@pytest.mark.parametrize("content", [b'{"a":' * 100_000, b'["\\ud800"]'], ids=["nested", "mistyped"])
def test_the_orchestrator_starts_over_broken_state(served: Served, tmp_path: Path, content: bytes) -> None:
    files = [tmp_path / "state" / name for name in ("checkpoints.json", "loras/loras.json")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    with orchestrator(served, tmp_path) as one, triptych.Client(one.address) as client:
        assert client.checkpoints() == [] and client.loras() == []
        for file in files:
            aside = file.with_name(f"{file.name}.broken-1")
            assert aside.read_bytes() == content and f'"moved_to": "{aside}"' in one.log
        assert "Traceback" not in one.log
