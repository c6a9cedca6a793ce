from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image

from triptych.contract.pictures.texts import request_in_xmp
from triptych_orchestrator.jobs.tasks.formats import Format
from triptych_orchestrator.pipeline.writing.files import write

REQUEST = '{"prompt":"<a> & \\u56f3, \\"b\\" ]]> </rdf:RDF>"}'
PARAMETERS = "ein Kreis, größer als 図\nSteps: 20, Seed: 7"
NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
SMOOTH = np.asarray(Image.radial_gradient("L").convert("RGB"))


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def farthest(ours: Image.Image, theirs: np.ndarray) -> int:
    return int(np.abs(np.asarray(ours, np.int16) - theirs).max())


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(png):
        size, name = struct.unpack(">I4s", png[at : at + 8])
        found.append((name, png[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def test_a_png_holds_the_pixels_and_took_little_time() -> None:
    png = write(NOISE, Format(), PARAMETERS, REQUEST).data
    image = opened(png)
    assert np.array_equal(np.asarray(image), NOISE)
    assert (image.info["parameters"], image.info["triptych"]) == (PARAMETERS, REQUEST)
    data = next(content for name, content in chunks(png) if name == b"IDAT")
    assert data[1] >> 6 == 0  # zlib's FLEVEL: the fastest algorithm


@pytest.mark.parametrize(("name", "kind", "tolerance"), [("jpeg", "JPEG", 4), ("webp", "WEBP", 0)])
def test_another_format_shows_the_same_and_tells_the_parameters(name: str, kind: str, tolerance: int) -> None:
    written = write(SMOOTH, Format(name), PARAMETERS, REQUEST)
    image = opened(written.data)
    assert (image.format, image.mode, image.size, written.warnings) == (kind, "RGB", (256, 256), ())
    assert farthest(image, SMOOTH) <= tolerance
    comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment == b"UNICODE\0" + PARAMETERS.encode("utf-16-be")
    assert request_in_xmp(image.info["xmp"]) == REQUEST
    # Readers such as piexif take the value as bytes only if its type is the specification's, UNDEFINED.
    assert struct.pack(">HHL", ExifTags.Base.UserComment, 7, len(comment)) in written.data


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_a_lower_quality_is_a_smaller_file_and_another_picture(name: str) -> None:
    best, worst = (write(NOISE, Format(name, quality), "", "").data for quality in (100, 5))
    assert len(worst) < len(best) / 2 and farthest(opened(worst), NOISE) > farthest(opened(best), NOISE)


def test_parameters_that_a_jpeg_cannot_hold_are_left_out_with_a_warning() -> None:
    long = "x" * 33_000
    jpeg, webp = (write(SMOOTH, Format(name), long, long * 2) for name in ("jpeg", "webp"))
    assert [warning.partition(" too")[0] for warning in jpeg.warnings] == ["the parameters are", "the request is"]
    assert not opened(jpeg.data).getexif() and "xmp" not in opened(jpeg.data).info
    assert opened(webp.data).getexif() and len(opened(webp.data).info["xmp"]) > 66_000 and not webp.warnings
