"""The tables in docs/ are those of docs/parity.json, and one task's figures change without the others'."""

from __future__ import annotations

import pytest

from tests.parity.matrix import Case
from tests.parity.oracle import TOLERANCE
from tests.parity.record import Record, Row
from tests.parity.tables import BEGIN, DOCS, END, PAGES, by_format, by_task, with_table

ROWS = [
    Row("text-to-image", "sd1", "directory", "onnxruntime", 1, 15),
    Row("text-to-image", "sd1", "single file", "onnxruntime", 0, 4),
    Row("image-to-image", "sd1", "directory", "onnxruntime", 2, 9),
    Row("text-to-image", "sdxl", "directory", "torch", 1, 3),
]


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_what_was_measured_last(page: str) -> None:
    text = (DOCS / page).read_text()
    assert text == with_table(text, PAGES[page](Record.read()))


def test_no_difference_is_beyond_the_tolerance() -> None:
    known = Record.read().cell()
    assert known is not None
    assert known[0] <= TOLERANCE


def test_cells_are_the_largest_of_what_they_put_together() -> None:
    record = Record(ROWS)
    assert "| Stable Diffusion 1.x | directory | 2 (24) |  |\n" in by_format(record)
    assert "| text-to-image | Stable Diffusion 1.x | 1 (19) |  |\n" in by_task(record)
    assert "| text-to-image | Stable Diffusion XL base |  | 1 (3) |\n" in by_task(record)
    assert "XL refiner" not in by_task(record)


def test_one_task_is_drawn_again() -> None:
    record = Record(ROWS)
    record.replace("text-to-image", {Case("sd1", "text-to-image", "torch", "directory", ()): 0})
    assert record.cell(task="image-to-image") == (2, 9)
    assert record.cell(task="text-to-image") == (0, 1)


def test_a_page_without_a_place_for_its_table_says_so() -> None:
    with pytest.raises(ValueError, match="no place for a table"):
        with_table(f"{END}{BEGIN}", "")
