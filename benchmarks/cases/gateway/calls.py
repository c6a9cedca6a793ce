"""A1111's txt2img over one kept connection, and the same picture by the SDK."""

from __future__ import annotations

import base64
import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from benchmarks.setting import Setting

TIMEOUT_S = 300


class Txt2Img:
    """POSTs to a gateway; keeps its connection."""

    def __init__(self, gateway_url: str) -> None:
        self._connection = HTTPConnection(urlsplit(gateway_url).netloc, timeout=TIMEOUT_S)

    def __call__(self, setting: Setting, prompt: str, seed: int) -> tuple[int, Any]:
        """Status and answer."""
        body = {"prompt": prompt, "seed": seed, "steps": setting.steps, "cfg_scale": 7.0, "sampler_name": "Euler"}
        body |= {"width": setting.size, "height": setting.size}
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/sdapi/v1/txt2img", json.dumps(body), headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())


def parameters(setting: Setting, seed: int) -> dict[str, Any]:
    """The same for `client.generate`."""
    return setting.parameters() | {"seed": seed, "guidance_scale": 7.0, "scheduler": "euler"}


def file_of(answer: Any) -> bytes:
    """The first picture's."""
    return base64.b64decode(answer["images"][0])
