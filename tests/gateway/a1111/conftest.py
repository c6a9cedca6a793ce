"""Calls of the A1111 API against the session's stack."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.conftest import Served
from tests.session.workers import needs_stack

# What most calls are: small, short, and the same each time.
SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 2, "seed": 5, "sampler_name": "Euler"}
SD1 = {"override_settings": {"sd_model_checkpoint": "sd1"}}
# Seconds of steps, and no test waits for their end.
ENDLESS = {**SMALL, **SD1, "steps": 200, "width": 256, "height": 256}

Call = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def default_options(request: pytest.FixtureRequest) -> None:
    """Whatever others have chosen, from the same address; files that call nobody start no stack for it."""
    if needs_stack(request.path):
        shutil.rmtree(gateway_folder(request.getfixturevalue("served")) / "options", ignore_errors=True)


def gateway_folder(served: Served) -> Path:
    """The state folder of the session's gateway."""
    assert served.stack.run_dir
    return served.stack.run_dir / "gateway"


@pytest.fixture
def txt2img(http: httpx.Client) -> Call:
    """The answer to a small call with these fields."""

    def call(**fields: Any) -> dict[str, Any]:
        answer = http.post("/sdapi/v1/txt2img", json={**SMALL, **SD1, **fields})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    return call


@pytest.fixture
def img2img(http: httpx.Client) -> Call:
    """Likewise, of images."""

    def call(**fields: Any) -> dict[str, Any]:
        answer = http.post("/sdapi/v1/img2img", json={**SMALL, **SD1, **fields})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    return call


def text(image: Image.Image) -> str:
    """A picture as a request has it."""
    return base64.b64encode(png(image)).decode()


def png(image: Image.Image) -> bytes:
    """A picture's file."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def files(answer: dict[str, Any]) -> list[bytes]:
    """Its pictures."""
    return [base64.b64decode(image) for image in answer["images"]]


def picture(file: bytes) -> Image.Image:
    """Decoded."""
    return Image.open(io.BytesIO(file))


def info(answer: dict[str, Any]) -> dict[str, Any]:
    """What it tells of them."""
    told: dict[str, Any] = json.loads(answer["info"])
    return told
