"""The options for larger pictures, and the command that makes nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Triptych
from tests.sdk.fake_server import FakeServer
from triptych.v1 import generation_pb2 as pb


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_generate_sends_what_its_options_say(triptych: Triptych, server: FakeServer) -> None:
    options = "--hires 1.5 --hires-upscaler lanczos --hires-strength 0.4 --hires-steps 9 --upscale 640x480"
    varied = "--upscaler nearest --subseed 5,6 --subseed-strength 0.25 --seed-resize-from 96,64"
    assert triptych("generate", "x", *options.split(), *varied.split()) == 0
    (request,) = server.requests
    assert request.hires == pb.Hires(scale=1.5, upscaler="lanczos", strength=0.4, num_inference_steps=9)
    assert request.upscale == pb.Upscale(width=640, height=480, upscaler="nearest")
    assert (list(request.subseeds), request.subseed_strength) == ([5, 6], 0.25)
    assert (request.seed_resize_from.height, request.seed_resize_from.width) == (96, 64)


def test_a_part_asks_for_the_whole_and_nothing_for_nothing(triptych: Triptych, server: FakeServer) -> None:
    assert triptych("generate", "x", "--hires-strength", "0") == triptych("generate", "x") == 0
    part, none = server.requests
    assert part.hires == pb.Hires(strength=0.0) and not part.HasField("upscale")
    assert not none.HasField("hires") and not none.HasField("upscale")


def test_upscale_sends_pictures_and_nothing_to_draw(triptych: Triptych, server: FakeServer) -> None:
    for name in ("a.png", "b c.jpg"):
        Path(name).write_bytes(name.encode())
    assert triptych("upscale", "a.png", "b c.jpg", "--scale", "1.5", "-o", "{prompt}-x.png") == 0
    assert [list(request.images) for request in server.requests] == [[b"a.png"], [b"b c.jpg"]]
    expected = pb.GenerateRequest(images=[b"a.png"], upscale=pb.Upscale(scale=1.5), image_format="png")
    assert server.requests[0] == expected
    assert sorted(path.name for path in Path().glob("*-x.png")) == ["a-x.png", "b-c-x.png"]


def test_upscale_has_a_name_of_its_own_for_what_it_makes(triptych: Triptych, server: FakeServer) -> None:
    Path("a.png").write_bytes(b"a")
    assert triptych("upscale", "a.png", "--upscaler", "nearest", "--image-format", "webp", "--quality", "50") == 0
    with Image.open("a-large.webp") as image:
        assert image.format == "WEBP"
    (request,) = server.requests
    assert request.upscale == pb.Upscale(upscaler="nearest") and (request.image_format, request.quality) == ("webp", 50)


def test_one_that_fails_is_named_and_the_others_are_made(
    triptych: Triptych, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.png").write_bytes(b"a")
    assert triptych("upscale", "missing.png", "a.png", "--json") == 2
    out, err = capsys.readouterr()
    failed, made = map(json.loads, out.splitlines())
    assert failed["error"]["metadata"] == {"field": "image"} and made["images"][0]["path"] == "a-large.png"
    assert "missing.png: image: cannot read" in err


def test_nothing_is_said_of_seeds_and_steps_where_nothing_is_drawn(
    triptych: Triptych, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.png").write_bytes(b"a")
    server.steps = 0
    assert triptych("upscale", "a.png") == 0
    assert capsys.readouterr() == ("a-large.png\n", "2.5 s\n")


@pytest.mark.parametrize(
    "argv",
    [
        ["generate", "x", "--hires", "big"],
        ["generate", "x", "--upscale", "640x"],
        ["upscale", "a.png", "--scale", "2x2x2"],
        ["upscale"],
    ],
)
def test_what_is_no_size_is_refused_at_once(triptych: Triptych, server: FakeServer, argv: list[str]) -> None:
    assert triptych(*argv) == 2 and server.requests == []
