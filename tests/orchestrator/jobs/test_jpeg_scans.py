"""Work that a JPEG file asks for: bounded by what its decoder would do, and not by bytes that only look like it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.jpeg_scans import excess
from triptych_orchestrator.jobs.pictures import PictureReader
from triptych_orchestrator.settings import Limits

RANDOM = np.random.default_rng(0)
SCAN, END = b"\xff\xda", b"\xff\xd9"


def jpeg(**options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (64, 64, 3), np.uint8)).save(stream, "JPEG", **options)
    return stream.getvalue()


def with_scans(count: int) -> bytes:
    """A progressive file whose last scan stands there so often that it has `count`."""
    data = jpeg(progressive=True)
    last, own = data.rfind(SCAN), data.count(SCAN)
    return data[:last] + data[last:-2] * (count - own + 1) + END


async def test_a_scan_that_is_repeated_without_end_is_refused() -> None:
    reader = PictureReader(Limits())
    await reader.pixels("images[0]", with_scans(100), 64, 64)
    for reading in (reader.size("images[0]", with_scans(101)), reader.pixels("images[0]", with_scans(101), 64, 64)):
        with pytest.raises(InvalidArgumentError, match=r"images\[0\]: has more than 100 scans") as caught:
            await reading
        assert caught.value.metadata["field"] == "images[0]"


@pytest.mark.parametrize("disguise", [b"\xff\xd0", b"\xff\x01", b"\xff\x02\xff\xf0", b"\xff\xff\xff"])
def test_no_marker_hides_scans(disguise: bytes) -> None:
    data = with_scans(101)
    first = data.find(SCAN)
    assert excess(data[:first] + disguise + data[first:])
    assert excess(data[: first + 12] + disguise + data[first + 12 :])


def test_segments_are_counted() -> None:
    comment = b"\xff\xfe\0\2"
    data = jpeg()
    assert excess(data[:2] + comment * 3000 + data[2:]) == "has more than 2000 segments"
    assert not excess(data[:2] + comment * 1000 + data[2:])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
def test_what_a_camera_writes_is_none(options: dict[str, Any]) -> None:
    """A thumbnail, a profile in which anything may stand, and a film behind the picture."""
    options["icc_profile"] = (SCAN + b"\0\0") * 50_000
    data = jpeg(**options, exif=b"Exif\0\0" + SCAN * 200) + SCAN * 200
    assert not excess(data) and not excess(b"") and not excess(SCAN * 200)
