"""From a file's bytes to pixels: as diffusers prepares them, and never more than an operator allows."""

from __future__ import annotations

import asyncio
import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import load_image
from PIL import Image, ImageFile

from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.pictures import PictureReader, check_bytes
from triptych_orchestrator.settings import Limits

SIZE = (40, 24)


@pytest.fixture
def reader() -> PictureReader:
    return PictureReader(Limits(max_image_pixels=64 * 64))


def photo(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Colours that change along both sides, so that no turn of it is the same."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)).convert(mode)


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


async def read(reader: PictureReader, data: bytes, size: tuple[int, int] = SIZE) -> Any:
    pixels, _ = await reader.pixels("images[0]", data, *size)
    return np.frombuffer(pixels, np.uint8).reshape(size[1], size[0], 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("size", [(40, 24), (32, 16), (64, 56), (16, 48)])
async def test_pixels_are_those_that_diffusers_takes(reader: PictureReader, kind: str, size: tuple[int, int]) -> None:
    data = file(photo(), kind)
    theirs = VaeImageProcessor().preprocess(load_image(Image.open(io.BytesIO(data))), size[1], size[0])
    ours = (await read(reader, data, size)).astype(np.float32) / 255.0 * 2.0 - 1.0
    np.testing.assert_allclose(ours, theirs[0].permute(1, 2, 0).numpy(), atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
async def test_a_camera_may_have_been_held_in_any_way(reader: PictureReader, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file(photo(), kind, exif=exif)
    theirs = load_image(Image.open(io.BytesIO(data)))
    assert await reader.size("images[0]", data) == theirs.size
    assert (theirs.size == SIZE) == (orientation < 5)
    np.testing.assert_array_equal(await read(reader, data, theirs.size), np.asarray(theirs))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("L", "PNG"), ("P", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("YCbCr", "TIFF")],
)
async def test_every_mode_becomes_rgb(reader: PictureReader, mode: str, kind: str) -> None:
    data = file(photo(mode), kind)
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(opened.convert("RGB"))
    np.testing.assert_array_equal(await read(reader, data), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
async def test_what_is_transparent_lies_on_white(reader: PictureReader, mode: str) -> None:
    image = photo("RGBA")
    alpha = np.full((SIZE[1], SIZE[0]), 255, np.uint8)
    alpha[:, :10], alpha[:, 10:20] = 0, 128
    image.putalpha(Image.fromarray(alpha))
    if mode == "P":  # which knows a colour that is transparent, not how much it is
        image = photo("P")
        data = file(image, transparency=image.getpixel((0, 0)))
        assert (await read(reader, data))[0, 0].tolist() == [255, 255, 255]
        return
    ours = await read(reader, file(image.convert(mode)))
    whole = np.asarray(photo("L" if mode == "LA" else "RGB").convert("RGB"), np.float64)
    expected = whole * alpha[..., None] / 255 + 255 - alpha[..., None].astype(np.float64)
    assert np.abs(ours - expected).max() <= 1 and (ours[:, :10] == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
async def test_sixteen_bits_keep_their_shades(reader: PictureReader, kind: str) -> None:
    levels = np.linspace(0, 65535, SIZE[0] * SIZE[1]).astype(np.uint16).reshape(SIZE[1], SIZE[0])
    ours = await read(reader, file(Image.fromarray(levels), kind))
    np.testing.assert_array_equal(ours, np.round(levels / 257).astype(np.uint8)[..., None].repeat(3, axis=-1))


async def test_sixteen_bits_become_eight_in_little_memory() -> None:
    levels = np.arange(65536, dtype=np.uint16).repeat(16).reshape(1024, 1024)
    data = file(Image.fromarray(levels))
    tracemalloc.start()
    try:
        ours = await read(PictureReader(Limits()), data, (1024, 1024))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(ours[..., 0], np.round(levels / 257).astype(np.uint8))
    assert peak_bytes < 10 * levels.size


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
async def test_of_several_pictures_the_first_is_taken_with_a_warning(reader: PictureReader, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    first, second = photo("L").convert("RGB"), Image.new("RGB", SIZE, "red")
    data = file(first, kind, save_all=True, append_images=[second], **options)
    pixels, warnings = await reader.pixels("images[1]", data, *SIZE)
    assert warnings == ["images[1] holds several pictures; the first is taken"]
    assert np.abs(np.frombuffer(pixels, np.uint8).astype(int) - np.asarray(first).reshape(-1)).max() <= 2
    assert (await reader.pixels("images[1]", file(first, kind), *SIZE))[1] == []


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that says it has so many pixels, and has some of them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(10_000)))
    return b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b"")


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (bomb(65, 64), "is 65 x 64, more than the 4096 pixels"),
        (bomb(2**31 - 1, 2**31 - 1), "more than the 4096 pixels"),
        (bomb(64, 64), "is broken or cut off"),
        (cut(file(photo())), "is broken or cut off"),
        (cut(file(photo(), "JPEG")), "is broken or cut off"),
        (cut(file(photo(), "GIF")), "is broken or cut off"),
        (b"", "is no picture in a format that is read: PNG, JPEG"),
        (b"GIF89a", "is "),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "is no picture in a format that is read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no picture in a format that is read"),
    ],
)
async def test_what_is_no_sound_picture_is_refused_by_name(reader: PictureReader, data: bytes, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        await reader.pixels("images[3]", data, *SIZE)
    assert caught.value.metadata["field"] == "images[3]" and caught.value.message.startswith("images[3]: ")


async def test_pictures_are_read_one_after_another(reader: PictureReader, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    pixels: Callable[..., Any] = PictureReader.pixels

    async def noted(self: PictureReader, field: str, *rest: Any) -> Any:
        begun.append(field)
        return await pixels(self, field, *rest)

    monkeypatch.setattr(PictureReader, "pixels", noted)
    with pytest.raises(InvalidArgumentError, match=r"images\[1\]: is broken"):
        await reader.read([file(photo()), cut(file(photo())), file(photo())], *SIZE)
    assert begun == ["images[0]", "images[1]"]


def test_bytes_are_counted_together() -> None:
    limits = Limits(max_image_bytes=100)
    check_bytes([], limits)
    check_bytes([bytes(50), bytes(50)], limits)
    with pytest.raises(InvalidArgumentError, match="images: are 101 bytes, more than the 100"):
        check_bytes([bytes(50), bytes(51)], limits)


async def test_the_loop_goes_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, data = PictureReader(Limits()), file(photo())
    release, loop = asyncio.Event(), asyncio.get_running_loop()
    load: Callable[..., Any] = ImageFile.ImageFile.load

    def slow(image: Image.Image) -> Any:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)
        return load(image)

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", slow)
    reading = [asyncio.create_task(reader.pixels("images[0]", data, *SIZE)) for _ in range(5)]
    await asyncio.sleep(0)
    reading[4].cancel()  # has not begun: there are fewer threads
    await asyncio.wait(reading[4:])
    assert not any(task.done() for task in reading[:4])
    release.set()
    await asyncio.gather(*reading[:4])
