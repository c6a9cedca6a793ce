"""The page and its data: added to by later runs, and true about which run a row is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gpu_check.test_plan import WHOLE
from triptych.errors import InvalidArgumentError
from triptych.gpu_check.record import ABSENT, FAILED, SKIPPED, Record

SETTING = {"steps": 50, "rounds": 3}
EAGER, OURS = "sd15/diffusers/picture/512", "sd15/torch/picture/512"


def opened(folder: Path, **changes: Any) -> Record:
    return Record.open(folder / "docs" / "gpu.md", WHOLE.described() | changes, SETTING)


def figures(seconds: float, **more: float) -> dict[str, float]:
    return {"seconds": seconds, "least": seconds - 0.1, "greatest": seconds + 0.1, "peak_bytes": 4.5e9, **more}


def page(folder: Path) -> str:
    return (folder / "docs" / "gpu.md").read_text()


def line(folder: Path, start: str) -> str:
    (found,) = [line for line in page(folder).splitlines() if line.startswith(start)]
    return found


def test_what_was_measured_stands_there_at_once(tmp_path: Path) -> None:
    record = opened(tmp_path)
    assert "NVIDIA H100" in page(tmp_path)
    record.measured(EAGER, figures(2.0))
    record.measured(OURS, figures(1.5, engine_step_seconds=0.02))
    record.measured("sd15/torch/lora/512", figures(1.6))
    record.measured("sd15/diffusers/control/512", figures(3.0))
    record.measured("sd15/torch/control/512", figures(1.8))
    assert line(tmp_path, "| 512x512 | Triptych, torch |") == (
        "| 512x512 | Triptych, torch | 1.500 (1.400 to 1.600) | 0.75 | 20.0 ms | 4.50 GB | 1.600, 4.50 GB "
        "| 1.800, 4.50 GB, 0.60 of eager | 1 |"
    )


def test_a_later_run_adds_and_takes_nothing_away(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.measured(EAGER, figures(2.0))
    first.missing(OURS, SKIPPED, "3 s were left")
    assert "3 s were left" in page(tmp_path)
    second = opened(tmp_path)
    assert second.is_known(EAGER) and not second.is_known(OURS)
    second.missing(EAGER, SKIPPED, "no time")
    second.measured(OURS, figures(1.0))
    assert "Not measured" not in page(tmp_path)
    assert line(tmp_path, "| 512x512 | diffusers, eager |").endswith("| 1 |")
    ours = line(tmp_path, "| 512x512 | Triptych, torch |")
    assert "| 0.50 |" in ours and ours.endswith("| 2 |")


def test_a_row_that_fails_counts_though_it_was_measured_before(tmp_path: Path) -> None:
    opened(tmp_path).measured(EAGER, figures(2.0))
    second = opened(tmp_path)
    second.missing(EAGER, FAILED, "the process ended")
    assert second.failures == 1 and not second.is_known(EAGER)
    assert line(tmp_path, "| 512x512 | diffusers, eager |").endswith("| 1 |")
    assert line(tmp_path, f"| {EAGER} | failed |").endswith("| the process ended | 2 |")
    third = opened(tmp_path)
    assert third.failures == 0
    third.measured(EAGER, figures(1.0))
    assert third.is_known(EAGER) and "the process ended" not in page(tmp_path)


@pytest.mark.parametrize("changes", [{"gpus": "1 x NVIDIA L4, 24 GiB"}, {"torch": "2.14.0"}])
def test_rows_of_another_machine_are_not_compared(tmp_path: Path, changes: dict[str, str]) -> None:
    opened(tmp_path).measured(EAGER, figures(2.0))
    second = opened(tmp_path, **changes)
    assert not second.is_known(EAGER)
    second.measured(OURS, figures(1.0))
    assert "| 0.50 |" not in line(tmp_path, "| 512x512 | Triptych, torch |")
    third = opened(tmp_path)
    for kind in ("lora", "control"):
        third.measured(f"sd15/torch/{kind}/512", figures(1.6))
    assert line(tmp_path, "| 512x512 | Triptych, torch |").endswith("| 4.50 GB |  |  | 2 |")


def test_what_is_missing_is_gathered_by_its_reason(tmp_path: Path) -> None:
    record = opened(tmp_path)
    for kind in ("picture", "lora"):
        record.missing(f"sd15/tensorrt/{kind}/512", ABSENT, "TensorRT is not there")
    assert line(tmp_path, "| sd15/tensorrt").startswith(
        "| sd15/tensorrt/picture/512, sd15/tensorrt/lora/512 | absent |"
    )


def test_open_weights_are_told_as_a_ratio(tmp_path: Path) -> None:
    record = opened(tmp_path)
    record.measured("sd15/tensorrt/picture/512", figures(1.0, engine_step_seconds=0.012))
    record.measured("sd15/tensorrt-plain/picture/512", figures(0.9, engine_step_seconds=0.010))
    assert line(tmp_path, "| sd15 | TensorRT | 512x512 | a step, refittable over plain").endswith("| 1.20 | 1 |")


def test_tests_are_counted_and_failures_named(tmp_path: Path) -> None:
    record = opened(tmp_path)
    for number in range(3):
        record.test(f"tests/test_x.py::test_{number}", "passed")
    assert record.failures == 0
    record.test("tests/test_x.py::test_1", "failed")
    assert "1 failed, 2 passed." in page(tmp_path) and "- tests/test_x.py::test_1: failed (run 1)" in page(tmp_path)
    assert record.failures == 1 and opened(tmp_path).failures == 0


@pytest.mark.parametrize("content", ["{", "[]", '{"runs": []}', json.dumps({"runs": ["x"]})])
def test_other_data_is_not_written_over(tmp_path: Path, content: str) -> None:
    data = tmp_path / "docs" / "gpu.json"
    data.parent.mkdir()
    data.write_text(content)
    with pytest.raises(InvalidArgumentError, match="not what an earlier check wrote"):
        opened(tmp_path)
    assert data.read_text() == content and not data.with_suffix(".md").exists()
