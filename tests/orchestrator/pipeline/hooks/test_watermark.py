"""Marked pictures, read by what we ship and by a decoder that follows the published format number by number."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import triptych
from triptych.cli.main import main
from triptych.contract.pictures.watermark import message_of, text_of
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.pipeline.hooks.base import Drawn, Finished
from triptych_orchestrator.pipeline.hooks.watermark import Watermark, marked, says

TEXT = "Ünïcode ACME"
BITS = np.unpackbits(np.frombuffer(message_of(TEXT), np.uint8))
DRAWN: Any = Drawn("", None, None)  # type: ignore[arg-type]

WHOLE = ("PNG", {}), ("WEBP", {"lossless": True})
LOSSY = ("JPEG", {"quality": 95, "subsampling": 0}), ("JPEG", {"quality": 90, "subsampling": 0})


def pictures() -> Iterator[Any]:
    random = np.random.default_rng(0)
    for colour in ((255, 255, 255), (0, 0, 0), (255, 255, 0), (200, 30, 40)):
        yield pytest.param(np.full((256, 256, 3), colour, np.uint8), id=f"flat-{colour}")
    yield pytest.param(random.integers(0, 256, (300, 261, 3)).astype(np.uint8), id="noise")
    small = Image.fromarray(random.integers(0, 256, (9, 9, 3)).astype(np.uint8))
    yield pytest.param(np.asarray(small.resize((515, 261), Image.Resampling.BICUBIC)), id="smooth")


PICTURES = list(pictures())


def as_file(pixels: np.ndarray, kind: str, options: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def published_decoder(pixels: np.ndarray, count: int) -> np.ndarray:
    """imwatermark's `dwtDct` of a picture as OpenCV has it: colours in 8 bits, Haar's transform, blocks one by one."""
    red, green, blue = (pixels[..., colour].astype(np.int64) for colour in range(3))
    luma = (4899 * red + 9617 * green + 1868 * blue + (1 << 13)) >> 14
    u = np.clip((((blue - luma) * 8061 + (128 << 14) + (1 << 13)) >> 14), 0, 255).astype(np.float64)
    u = u[: len(u) // 4 * 4, : u.shape[1] // 4 * 4]
    rows = (u[::2] + u[1::2]) / np.sqrt(2)
    low = (rows[:, ::2] + rows[:, 1::2]) / np.sqrt(2)
    scores: list[list[int]] = [[] for _ in range(count)]
    number = 0
    for top in range(len(low) // 4):
        for left in range(low.shape[1] // 4):
            block = low[top * 4 : top * 4 + 4, left * 4 : left * 4 + 4].flatten()
            value = abs(block[np.argmax(np.abs(block[1:])) + 1])
            scores[number % count].append(int(value % 36 > 18))
            number += 1
    return np.array([np.mean(score) * 255 > 127 for score in scores])


@pytest.mark.parametrize("pixels", PICTURES)
def test_marks_are_read_whatever_the_picture(pixels: np.ndarray) -> None:
    result = marked(pixels, BITS)
    assert says(result, BITS)
    for kind, options in (*WHOLE, *LOSSY):
        assert triptych.read_watermark(as_file(result, kind, options)) == TEXT
    for kind, options in (WHOLE[0], LOSSY[1]):
        seen = np.asarray(Image.open(io.BytesIO(as_file(result, kind, options))).convert("RGB"))
        assert np.array_equal(published_decoder(seen, len(BITS)), BITS)


@pytest.mark.parametrize("pixels", PICTURES)
def test_few_pixels_change(pixels: np.ndarray) -> None:
    """Of 64 pixels at most four, and of those the luma where a colour would leave its range alone."""
    result = marked(pixels, BITS)
    assert np.array_equal(result, marked(pixels, BITS))
    changed = (result != pixels).any(axis=-1)
    assert 0 < changed.mean() <= 4 / 64
    signal = np.mean((result.astype(float) - pixels) ** 2)
    assert 10 * np.log10(255**2 / signal) > 36


@pytest.mark.parametrize("pixels", PICTURES)
def test_nothing_is_read_where_nothing_is_marked(pixels: np.ndarray) -> None:
    assert not says(pixels, BITS) and triptych.read_watermark(Image.fromarray(pixels)) == ""


async def test_a_result_says_what_was_marked() -> None:
    sound = Finished(np.full((256, 256, 3), 90, np.uint8))
    others = [
        Finished(np.zeros((256, 256, 3), np.uint8), nsfw_content_detected=True),
        Finished(np.full((255, 256, 3), 90, np.uint8)),
        Finished(np.full((256, 256, 3), (0, 0, 255), np.uint8)),
    ]
    hook = Watermark(TEXT)
    (first, *rest), warnings = await hook.finish([sound, *others], DRAWN)
    assert first.watermarked and says(first.pixels, BITS) and rest == others
    assert warnings == ["2 of 4 pictures hold no watermark: fewer than 65536 pixels, or colours that leave no room"]
    assert (await hook.finish([sound, others[0]], DRAWN))[1] == []
    assert says(hook.preview(sound.pixels), BITS) and hook.preview(others[1].pixels) is others[1].pixels


@pytest.mark.parametrize("text", ["", "seventeen letters", "üüüüüüüü.", "a\nb", "a\0b", "\udc80"])
def test_no_watermark(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="watermark: must be a printable text of 1 to 16 bytes"):
        message_of(text)


def test_messages_that_nobody_wrote() -> None:
    assert text_of(message_of("ü")) == "ü"
    assert [text_of(message) for message in (bytes(16), b"\xff" * 16, b"a\0b", b"\x07")] == [""] * 4


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = np.full((256, 256, 3), 90, np.uint8)
    for name, pixels in (("marked", marked(plain, BITS)), ("plain", plain), ("small", plain[:8])):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    names = [str(tmp_path / f"{name}.png") for name in ("marked", "plain", "small", "broken")]
    assert main(["watermark", names[0]]) == 0 and main(["watermark", names[0], "--expect", TEXT]) == 0
    assert main(["watermark", names[0], "--expect", "other"]) == 1
    capsys.readouterr()
    assert main(["watermark", *names]) == 1
    output = capsys.readouterr()
    assert output.out.splitlines() == [f"{names[0]}: {TEXT}", f"{names[1]}: no watermark", f"{names[2]}: no watermark"]
    assert f"{names[3]}: picture: cannot be read" in output.err
    assert main(["watermark", names[3]]) == 2
