"""Picture files that are cut, damaged or lie about themselves: pixels of the size that was asked for, or a refusal."""

from __future__ import annotations

import io
import resource
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from tests.fuzzing import fuzzed
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.pictures import _pixels, _size, mask, picture

MOST_PIXELS = 32_000
# All examples together; each picture may be decoded several times over, and one as large as the limit.
MOST_GROWTH_BYTES = 256 << 20
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MOST_EXTENT = {"WEBP": 16_383}
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr")
EXTENTS = st.one_of(st.sampled_from([1, 2, 7, 8, 16, 64]), st.integers(1, 150))
SIZES = st.one_of(st.tuples(EXTENTS, EXTENTS), st.sampled_from([(1, 1), (1, 20_000), (20_000, 1), (179, 179)]))
EXTREME = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A sound one of any kind, colours and turn that Pillow writes."""
    kind, mode = draw(st.sampled_from(FORMATS)), draw(st.sampled_from(MODES))
    width, height = (min(extent, MOST_EXTENT.get(kind, extent)) for extent in draw(SIZES))
    noise = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(noise)
    image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = draw(st.integers(0, 9))
    is_animated = kind in ("GIF", "TIFF") and draw(st.booleans())
    for attempt in (image, image.convert("RGB")):
        stream = io.BytesIO()
        options: dict[str, Any] = {"exif": exif} if kind in ("PNG", "JPEG", "WEBP") else {}
        try:
            attempt.save(
                stream, kind, **options, **({"save_all": True, "append_images": [attempt]} if is_animated else {})
            )
        except (OSError, ValueError, KeyError):  # a format has no such mode
            continue
        return stream.getvalue()
    raise AssertionError(kind)


def flipped(draw: st.DrawFn, data: bytearray) -> None:
    for _ in range(draw(st.integers(1, 8))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))


def cut(draw: st.DrawFn, data: bytearray) -> None:
    del data[draw(st.integers(0, len(data) - 1)) :]


def spliced(draw: st.DrawFn, data: bytearray) -> None:
    start, length, to = (draw(st.integers(0, len(data) - 1)) for _ in range(3))
    data[to:to] = data[start : start + length]


def lying(draw: st.DrawFn, data: bytearray) -> None:
    """Numbers of the header, where formats say how large a picture is."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, min(len(data), 64) - 4)) if len(data) > 4 else 0
        order = draw(st.sampled_from("<>"))
        data[place : place + 4] = struct.pack(f"{order}I", draw(EXTREME))


def sound_lying(draw: st.DrawFn, data: bytearray) -> None:
    """A PNG's header with another size, depth, colours or interlacing, and the right checksum over it."""
    if not data.startswith(b"\x89PNG"):
        return lying(draw, data)
    extents = [draw(st.one_of(st.integers(0, 300), EXTREME)) for _ in range(2)]
    rest = [
        draw(st.sampled_from(each)) for each in ((1, 2, 4, 8, 16, 3), (0, 2, 3, 4, 6, 1), (0, 1), (0, 1), (0, 1, 2))
    ]
    header = b"IHDR" + struct.pack(">IIBBBBB", *extents, *rest)
    data[12:33] = header + struct.pack(">I", zlib.crc32(header))
    return None


DAMAGES = (flipped, cut, spliced, lying, sound_lying)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(files()))
    for damage in draw(st.lists(st.sampled_from(DAMAGES), max_size=2)):
        if data:
            damage(draw, data)
    return bytes(data)


def outcome(work: Callable[[], Any]) -> Any:
    """What it comes to; None for a refusal, which names the field and is no longer than a line."""
    try:
        return work()
    except InvalidArgumentError as error:
        assert error.metadata["field"] == "images[2]" and error.message.startswith("images[2]: is ")
        assert len(error.message) < 1000
        return None


def check_read(data: bytes, size: tuple[int, int]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    own = outcome(lambda: _size("images[2]", data, MOST_PIXELS))
    assert own is None or 0 < own[0] * own[1] <= MOST_PIXELS
    whole = outcome(lambda: picture("images[2]", data, MOST_PIXELS))
    if own and whole:
        assert whole[0].size == own and whole[0].mode == "RGB"
    resized = outcome(lambda: _pixels("images[2]", data, MOST_PIXELS, size))
    assert (resized is None) == (whole is None)
    assert resized is None or len(resized[0]) == size[0] * size[1] * 3
    grey = outcome(lambda: mask("images[2]", data, MOST_PIXELS))
    assert (grey is None) == (whole is None)
    assert grey is None or (grey.image.mode, grey.resized(size).size) == ("L", size)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH_BYTES >> 10


test_damaged_files, test_damaged_files_at_length = fuzzed(400, damaged(), st.sampled_from([(8, 8), (72, 64), (1, 1)]))(
    check_read
)


def check_sound(data: bytes, size: tuple[int, int]) -> None:
    whole, _ = picture("images[2]", data, MOST_PIXELS * 2)
    assert whole.size == _size("images[2]", data, MOST_PIXELS * 2)
    pixels, warnings = _pixels("images[2]", data, MOST_PIXELS * 2, size)
    assert len(pixels) == size[0] * size[1] * 3 and len(warnings) <= 1


test_sound_files, test_sound_files_at_length = fuzzed(150, files(), st.sampled_from([(8, 8), (72, 64)]))(check_sound)
