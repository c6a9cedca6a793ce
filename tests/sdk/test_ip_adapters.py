"""IP-Adapters on their way to the server, and what a picture says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from triptych import IpAdapter
from triptych.errors import InvalidArgumentError
from triptych.sdk.parameters import build_request
from triptych.sdk.reading.own import own_request
from triptych.v1 import generation_pb2 as pb


def test_one_picture_or_several_by_a_class_or_a_mapping() -> None:
    request = build_request(
        "x", ip_adapters=[IpAdapter("plain", b"a"), {"name": "plus", "image": [b"b", b"c"], "scale": 0}]
    )
    first, second = request.ip_adapters
    assert first == pb.IpAdapter(name="plain", images=[b"a"]) and not first.HasField("scale")
    assert second == pb.IpAdapter(name="plus", images=[b"b", b"c"], scale=0.0)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (IpAdapter("plain", b"a"), "ip_adapters"),
        ([{"image": b"a"}], "ip_adapters[0].name"),
        ([IpAdapter("plain", b"a"), {"name": "plain", "weight": 1}], "ip_adapters[1].name"),
        ([{"name": "plain", "image": "/nowhere.png"}], "ip_adapters[0].image"),
        ([{"name": "plain", "image": b"a", "scale": "much"}], "ip_adapters[0].scale"),
    ],
)
def test_what_does_not_fit_is_named(given: Any, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        build_request("x", ip_adapters=given)
    assert caught.value.metadata["field"] == field


def test_a_picture_tells_of_them_without_their_files() -> None:
    told = {"name": "plus", "images": ["sha256:aa", "sha256:bb"], "scale": 0.5}
    request = own_request(json.dumps({"revision": 1, "request": {"prompt": "x", "ip_adapters": [told]}}))
    assert request.parameters["ip_adapters"] == [{"name": "plus", "scale": 0.5}]
    assert request.files["ip_adapters"] == ["aa", "bb"]
