"""`generate --from` and `verify`, before a server that draws by the seed and the size alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Triptych
from tests.sdk.fake_server import FakeServer
from tests.sdk.reading.pictures import png

REQUEST: dict[str, Any] = {
    "prompt": "a fox", "seeds": [7], "num_inference_steps": 2, "width": 24, "height": 8, "num_images_per_prompt": 1,
    "image_format": "png",
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def picture(name: str, index: int = 0, **changes: Any) -> str:
    told = {"revision": 1, "request": REQUEST | changes, "made_of": {}, "index": index}
    Path(name).write_bytes(png(triptych=json.dumps(told)))
    return name


def test_a_picture_is_asked_for_as_it_was(triptych: Triptych, server: FakeServer) -> None:
    assert triptych("generate", "--from", picture("a.png"), "--quiet") == 0
    (asked,) = server.requests
    assert (asked.prompt, list(asked.seeds), asked.num_inference_steps) == ("a fox", [7], 2)
    assert (asked.width, asked.height, asked.image_format) == (24, 8, "png")
    assert Path("a-fox-7.png").exists()


def test_options_change_what_it_says(triptych: Triptych, server: FakeServer) -> None:
    arguments = ["--seed", "9", "--steps", "5", "-o", "b.jpg"]
    picture("a.png", image_format="jpeg")
    assert triptych("generate", "--from", "a.png", *arguments, "--quiet") == 0
    (asked,) = server.requests
    assert (list(asked.seeds), asked.num_inference_steps, asked.image_format) == ([9], 5, "jpeg")


def test_of_a_batch_that_one_is_written(
    triptych: Triptych, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    name = picture("a.png", index=2, num_images_per_prompt=3)
    assert triptych("generate", "--from", name, "-o", "b.png", "--json") == 0
    assert server.requests[0].num_images_per_prompt == 3
    assert [image["path"] for image in json.loads(capsys.readouterr().out)["images"]] == ["b.png"]


def test_more_of_it_are_all_written(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    name = picture("a.png", index=2, num_images_per_prompt=3)
    assert triptych("generate", "--from", name, "--num-images-per-prompt", "2", "-o", "b-{index}.png", "--quiet") == 0
    assert capsys.readouterr().out.split() == ["b-0.png", "b-1.png"]


def test_a_file_that_it_was_made_from_must_be_brought(
    triptych: Triptych, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    name = picture("a.png", images=["sha256:" + "ab" * 32])
    assert triptych("generate", "--from", name) == 2
    assert "name that by --image" in capsys.readouterr().err and not server.requests
    assert triptych("generate", "--from", name, "--image", name, "--quiet") == 0
    assert "image: another file than the picture was made from" in capsys.readouterr().err
    assert [bytes(file) for file in server.requests[0].images] == [Path(name).read_bytes()]
    assert triptych("verify", name) == 2
    assert "--file" in capsys.readouterr().err


def test_what_is_left_out_is_said(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    assert triptych("generate", "--from", picture("a.png", shine=3), "--quiet") == 0
    assert "warning: left out: shine: not known to this version" in capsys.readouterr().err


def test_one_source_of_prompts_alone(triptych: Triptych) -> None:
    assert triptych("generate", "a star", "--from", picture("a.png")) == 2


def test_pixels_that_differ_are_told(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    assert triptych("generate", "--from", picture("a.png"), "-o", "b.png", "--quiet") == 0
    capsys.readouterr()
    # What this server draws says nothing of how it was made; a.png does, and shows something else.
    assert triptych("verify", "a.png", "b.png", "nowhere.png") == 1
    out, err = capsys.readouterr()
    assert "b.png: picture: was not made by Triptych" in err and "cannot read nowhere.png" in err
    assert out == "a.png: 192 of 192 pixels differ, by at most 255 of 255\n"
