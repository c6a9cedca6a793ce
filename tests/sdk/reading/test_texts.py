"""Texts out of strangers' files: where they stand, and what is done about those that mean no good."""

from __future__ import annotations

import io
import random
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests.sdk.reading.pictures import other, png, with_chunk
from triptych.errors import InvalidArgumentError, TriptychError
from triptych.sdk.reading.settling import read_request
from triptych.sdk.reading.texts import Texts, texts_of

TEXT = "größer 図\nSteps: 2, Seed: 1, Size: 8x8"


def test_where_each_format_has_them(tmp_path: Path) -> None:
    expected = Texts('{"a":1}', TEXT, "{}")
    data = png(triptych='{"a":1}', parameters=TEXT, prompt="{}")
    (tmp_path / "a.png").write_bytes(data)
    for picture in (data, tmp_path / "a.png", str(tmp_path / "a.png"), Image.open(io.BytesIO(data))):
        assert texts_of(picture) == expected
    for kind in ("JPEG", "WEBP"):
        for order in ("utf-16-be", "utf-16-le"):
            comment = b"UNICODE\0" + TEXT.encode(order)
            assert texts_of(other(kind, comment, '{"a":1}', "prompt:{}")) == expected
    assert texts_of(other("JPEG", b"ASCII\0\0\0Steps: 2")).parameters == "Steps: 2"


def test_a_picture_that_says_nothing_is_refused() -> None:
    for data in (png(), other("JPEG"), other("WEBP")):
        with pytest.raises(InvalidArgumentError, match=r"^picture: does not say how it was made"):
            read_request(data)


@pytest.mark.parametrize("data", [b"", b"GIF89a", png(parameters=TEXT)[:30], b"\x89PNG\r\n\x1a\n" + bytes(99)])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^picture: the picture cannot be read"):
        texts_of(data)


def test_a_file_that_is_not_there_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^picture: nowhere.png cannot be read: No such file"):
        texts_of("nowhere.png")


def test_a_text_that_unpacks_to_very_much_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(1 << 26), 1)
    data = with_chunk(png(), b"zTXt", b"parameters\0\0" + bomb)
    began = time.process_time()
    with pytest.raises(InvalidArgumentError, match=r"^picture: "):
        texts_of(data)
    assert time.process_time() - began < 5


def test_more_than_anybody_says_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="says more than 1048576 characters"):
        texts_of(other("WEBP", b"UNICODE\0" + ("x" * 1_100_000).encode("utf-16-be")))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        '{"a":' * 150_000,
        "1" * 900_000,
        "{" * 9,
        "[]",
        "null",
        '{"request":[]}',
        '{"request":{},"index":-1}',
    ],
)
def test_json_that_means_no_good_is_refused(text: str) -> None:
    for keyword in ("triptych", "prompt"):
        with pytest.raises(InvalidArgumentError, match=r"^picture: the text in it that is .* is damaged"):
            read_request(png(**{keyword: text}))


WORDS = [
    "a", " ", ":", ",", '"', "\\", "\n", "Steps: ", "Seed: 1, ", "Negative prompt:", "<lora:", ">", "{", "}", "[", "]",
    '":', "9" * 30, "x" * 30, "é", "Hires upscale: 2, ", "Size: 1x1, ", "Sampler: ",
    '{"1":{"class_type":"KSampler","inputs":{',
]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_any_text_is_read_or_refused_in_time(seed: int) -> None:
    """Each is repeated, so that what grows faster than its text would show."""
    draw = random.Random(seed)
    text = "".join(draw.choices(WORDS, k=draw.randrange(12))) * 2_000
    for keyword in ("parameters", "triptych", "prompt"):
        began = time.process_time()
        try:
            read_request(png(**{keyword: text}))
        except TriptychError as error:
            assert error.metadata["field"] == "picture"
        assert time.process_time() - began < 5


@pytest.mark.parametrize("seed", range(100))
def test_a_damaged_file_is_read_or_refused(seed: int) -> None:
    draw = random.Random(seed)
    for data in (png(parameters=TEXT, triptych="{}"), other("JPEG", b"UNICODE\0" + TEXT.encode("utf-16-be"), "{}")):
        at, noise = draw.randrange(len(data)), draw.randbytes(draw.randrange(40))
        try:
            texts_of(data[:at] + noise + data[at + draw.choice([0, len(noise)]) :])
        except InvalidArgumentError as error:
            assert error.metadata["field"] == "picture"
