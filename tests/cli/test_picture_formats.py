from __future__ import annotations

import struct
from io import BytesIO

import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from triptych.cli.pictures.formats import encode

PARAMETERS = "ein Kreis, größer als 図\nSteps: 20, Seed: 7"


def png(parameters: str = "") -> bytes:
    text = PngInfo()
    if parameters:
        text.add_itxt("parameters", parameters)
    stream = BytesIO()
    Image.radial_gradient("L").convert("RGB").save(stream, "PNG", pnginfo=text)
    return stream.getvalue()


def exif_of(content: bytes) -> Image.Exif:
    with Image.open(BytesIO(content)) as image:
        return image.getexif()


@pytest.mark.parametrize("ending", ["", ".png", ".PNG"])
def test_a_png_is_kept_byte_for_byte(ending: str) -> None:
    assert encode(png(PARAMETERS), ending) == png(PARAMETERS)


@pytest.mark.parametrize(
    ("ending", "kind", "tolerance"), [(".jpg", "JPEG", 4), (".JPEG", "JPEG", 4), (".webp", "WEBP", 0)]
)
def test_another_format_shows_the_same_and_tells_the_parameters(ending: str, kind: str, tolerance: int) -> None:
    content = encode(png(PARAMETERS), ending)
    with Image.open(BytesIO(content)) as image, Image.open(BytesIO(png())) as original:
        assert (image.format, image.mode, image.size) == (kind, "RGB", (256, 256))
        differences = [abs(a - b) for a, b in zip(image.tobytes(), original.tobytes(), strict=True)]
    assert max(differences) <= tolerance
    comment = exif_of(content).get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment == b"UNICODE\0" + PARAMETERS.encode("utf-16-be")
    # Readers such as piexif take the value as bytes only if its type is the specification's, UNDEFINED.
    assert struct.pack(">HHL", ExifTags.Base.UserComment, 7, len(comment)) in content


@pytest.mark.parametrize("ending", [".jpg", ".webp"])
def test_without_parameters_there_is_no_exif(ending: str) -> None:
    assert not exif_of(encode(png(), ending))


def test_parameters_that_a_jpeg_cannot_hold_are_left_out_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 33_000
    assert not exif_of(encode(png(long), ".jpg"))
    assert "warning: the parameters are too long for a JPEG" in capsys.readouterr().err
    assert exif_of(encode(png(long), ".webp"))
    assert capsys.readouterr().err == ""
