"""Options, each caller's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.conftest import Served
from triptych.errors import InvalidArgumentError
from triptych_gateway.a1111 import options as options_module
from triptych_gateway.a1111.options import CallersOptions, Options
from triptych_gateway.caller import Caller

ANN, BOB = Caller("ann"), Caller("bob")


async def test_callers_options_are_their_own(tmp_path: Path) -> None:
    callers = CallersOptions(tmp_path / "options")
    await callers.choose(ANN, (await callers.of(ANN)).changed({"jpeg_quality": 60}))
    again = CallersOptions(tmp_path / "options")
    assert (await again.of(ANN)).jpeg_quality == 60
    assert await again.of(BOB) == Options()


def test_what_cannot_be_read_is_as_good_as_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    callers = CallersOptions(tmp_path)
    asyncio.run(callers.choose(ANN, Options(jpeg_quality=60)))
    (file,) = tmp_path.iterdir()
    file.write_text('{"jpeg_quality": 0}')
    assert asyncio.run(callers.of(ANN)) == Options()
    assert "options are not readable" in caplog.text


async def test_the_longest_unchanged_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options_module, "_MOST_CALLERS", 1)
    callers = CallersOptions(tmp_path)
    for caller in (ANN, BOB):
        await callers.choose(caller, Options(jpeg_quality=60))
    assert await callers.of(ANN) == Options()
    assert (await callers.of(BOB)).jpeg_quality == 60


@pytest.mark.parametrize(
    ("name", "value"),
    [("no_such", 1), ("jpeg_quality", 0), ("jpeg_quality", "much"), ("randn_source", "GPU"), ("samples_format", "gif")],
)
def test_what_is_wrong_is_named(name: str, value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{name}: "):
        Options().changed({name: value})


def test_what_was_got_may_be_posted_back(http: httpx.Client) -> None:
    options = http.get("/sdapi/v1/options").json()
    assert options["sd_model_checkpoint"]
    assert http.post("/sdapi/v1/options", json={**options, "samples_format": "jpg"}).json() is None
    assert http.get("/sdapi/v1/options").json()["samples_format"] == "jpg"
    http.post("/sdapi/v1/options", json={"samples_format": "png"})


def test_every_title_can_be_chosen_one_after_the_other(http: httpx.Client, served: Served) -> None:
    before = http.get("/sdapi/v1/options").json()["sd_model_checkpoint"]
    models = [each for each in http.get("/sdapi/v1/sd-models").json() if each["model_name"] in ("sd1", "sd2")]
    for model in models:
        assert http.post("/sdapi/v1/options", json={"sd_model_checkpoint": model["title"]}).status_code == 200
        chosen = http.get("/sdapi/v1/options").json()["sd_model_checkpoint"]
        assert chosen.split(" [")[0] == model["model_name"]
    assert {each.name for each in served.client.checkpoints() if each.state == "loaded"} >= {"sd1", "sd2"}
    http.post("/sdapi/v1/options", json={"sd_model_checkpoint": before})


def test_a_vae_that_is_not_there(http: httpx.Client) -> None:
    answer = http.post("/sdapi/v1/options", json={"sd_vae": "nothing"})
    assert answer.status_code == 404 and answer.json()["detail"].startswith("sd_vae: 'nothing' is not a model here")


def test_a_model_that_is_not_there(http: httpx.Client) -> None:
    before = http.get("/sdapi/v1/options").json()
    answer = http.post("/sdapi/v1/options", json={"sd_model_checkpoint": "nothing.safetensors"})
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("sd_model_checkpoint: 'nothing.safetensors' is not a model here")
    assert http.get("/sdapi/v1/options").json() == before
