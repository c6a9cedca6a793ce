"""Images on their way out: as files, whatever a caller has of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from triptych.errors import InvalidArgumentError
from triptych.sdk.images import image_files
from triptych.sdk.parameters import build_request


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8))


def opened(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file))


def test_one_or_several_of_any_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture().save(path)
    files = [picture(), path, str(path), path.read_bytes()]
    for one in files:
        (sent,) = image_files(one)  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.asarray(opened(sent)), np.asarray(picture()))
    assert len(image_files(files)) == len(image_files(tuple(files))) == 4  # type: ignore[arg-type]


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"whatever")
    request = build_request("x", image=[tmp_path / "a", b"more"], strength=0.0)
    assert list(request.images) == [b"whatever", b"more"] and request.HasField("strength")
    assert build_request("x", image=None) == build_request("x")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_mode_that_a_png_has_is_kept(mode: str) -> None:
    image = picture().convert("L").convert(mode) if mode != "I;16" else Image.fromarray(np.full((4, 4), 999, np.uint16))
    sent = opened(image_files(image)[0])
    assert sent.mode == mode
    np.testing.assert_array_equal(np.asarray(sent), np.asarray(image))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "HSV", "F", "RGBa", "RGBX"])
def test_another_becomes_rgb(mode: str) -> None:
    image = (
        picture().convert("RGBA").convert(mode) if mode == "RGBa" else picture().convert("L" if mode == "F" else "RGB")
    )
    sent = opened(image_files(image.convert(mode))[0])
    assert sent.mode == ("RGBA" if mode == "RGBa" else "RGB")


def test_grey_that_is_multiplied_by_its_alpha_is_divided() -> None:
    sent = opened(image_files(Image.new("LA", (2, 2), (200, 255)).convert("La"))[0])
    assert sent.mode == "LA" and sent.getpixel((0, 0)) == (200, 255)


@pytest.mark.parametrize("mode", ["I", "I;16B", "I;16L", "I;16N"])
def test_sixteen_bits_keep_their_shades(mode: str) -> None:
    levels = np.linspace(0, 65535, 48).astype(np.uint16).reshape(6, 8)
    own = levels.astype(np.int32) if mode == "I" else levels.astype(">u2" if mode == "I;16B" else "<u2")
    sent = opened(image_files(Image.frombytes(mode, (8, 6), own.tobytes()))[0])
    np.testing.assert_array_equal(np.asarray(sent), levels)


def test_more_than_sixteen_bits_are_cut_off() -> None:
    sent = opened(image_files(Image.fromarray(np.array([[-7, 9, 70_000]], np.int32)))[0])
    assert np.asarray(sent).tolist() == [[0, 9, 65535]]


def test_a_camera_may_have_been_held_in_another_way() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    picture().save(stream, "TIFF", exif=exif)
    turned = opened(image_files(opened(stream.getvalue()))[0])
    np.testing.assert_array_equal(np.asarray(turned), np.rot90(np.asarray(picture()), -1))
    assert not turned.getexif()


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("/nowhere/a.png", "cannot read '/nowhere/a.png': No such file"),
        (Path("/tmp"), "cannot read '/tmp': Is a directory"),
        ("a\0b", "cannot read"),
        (7, "must be a PIL image, a path, bytes, or a list of such, not int"),
        ([7], "must be a PIL image, a path or bytes, not int"),
        ([None], "not NoneType"),
        (np.zeros((4, 4, 3)), "not ndarray"),
        ([], "is an empty list"),
        ((), "is an empty list"),
    ],
)
def test_what_is_no_image_is_refused_here(image: Any, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        build_request("x", image=image)
    assert caught.value.metadata["field"] == "image"


def test_what_turns_out_to_be_cut_off_is_refused(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "TIFF"):
        path = tmp_path / kind
        picture().resize((200, 200)).save(path, kind)
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(InvalidArgumentError, match="cannot be made a PNG") as caught, Image.open(path) as image:
            build_request("x", image=image)
        assert caught.value.metadata["field"] == "image"
