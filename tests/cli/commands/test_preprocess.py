"""`triptych preprocess` against the fake server."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Triptych
from tests.sdk.fake_server import FakeServer


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (16, 8), "red").save(path)
    return path


def test_a_picture_is_written_where_it_is_asked_for(
    triptych: Triptych, server: FakeServer, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert triptych("preprocess", "canny", str(photo)) == 0
    beside = photo.with_name("photo-canny.png")
    shown = capsys.readouterr()
    assert shown.out.strip() == str(beside) and "the first is taken" in shown.err
    out = photo.with_name("edges.png")
    size = ["--width", "24", "--height", "16", "--resize-mode", "crop_and_resize"]
    numbers = ["--processor-res", "0", "--threshold-a", "50.5", "--threshold-b", "120"]
    assert triptych("preprocess", "canny", str(photo), "-o", str(out), *size, *numbers) == 0
    for path, extents in ((out, (24, 16)), (beside, (16, 8))):
        with Image.open(path) as made:
            assert made.size == extents
    asked = server.requests[-1]
    assert asked.HasField("processor_res") and (asked.threshold_a, asked.threshold_b) == (50.5, 120)
    assert asked.resize_mode == "crop_and_resize"


def test_what_there_is_is_listed(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    assert triptych("preprocess", "--list") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "canny, threshold_a (Low: 1 to 255, default 100)"
    assert second == "depth_midas; lacks weights"


def test_what_is_missing_is_named(triptych: Triptych, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert triptych("preprocess", "canny") != 0
    assert "image: is missing" in capsys.readouterr().err
    assert triptych("preprocess", "nothing", str(photo)) != 0
    assert "no 'nothing'" in capsys.readouterr().err
