"""Images of what a request has in lists: where they stand, what comes as a file beside it, and what is shown."""

from __future__ import annotations

import pytest

from triptych.errors import InvalidArgumentError
from triptych_gateway.rest.images import beside, is_image, shown

REQUEST = {"ip_adapters": [{"name": "plain"}, {"name": "plus", "image": ["QUFB", "picture:1"]}]}


@pytest.mark.parametrize("part", ["image", "controls[0].image", "controls[3].mask_image", "ip_adapters[0].image"])
def test_what_is_an_image(part: str) -> None:
    assert is_image(part)


@pytest.mark.parametrize("part", ["ip_adapters[0].mask_image", "controls[x].image", "loras[0].image", "ip_adapters"])
def test_what_is_none(part: str) -> None:
    assert not is_image(part)


def test_a_file_beside_comes_into_its_place_and_the_request_stays_as_it_was() -> None:
    placed = beside(REQUEST, {"ip_adapters[0].image": [b"a"]})
    assert placed["ip_adapters"][0] == {"name": "plain", "image": b"a"}
    assert REQUEST["ip_adapters"][0] == {"name": "plain"}
    with pytest.raises(InvalidArgumentError, match=r"^ip_adapters\[1\]\.image: is given twice"):
        beside(REQUEST, {"ip_adapters[1].image": [b"a"]})
    with pytest.raises(InvalidArgumentError, match=r"^ip_adapters\[2\]\.image: is of none: the JSON has 2 ip_adapters"):
        beside(REQUEST, {"ip_adapters[2].image": [b"a"]})


def test_an_ip_adapter_s_files_may_be_several_and_a_control_s_may_not() -> None:
    placed = beside({"ip_adapters": [{"name": "plus"}]}, {"ip_adapters[0].image": [b"a", b"b"]})
    assert placed["ip_adapters"] == [{"name": "plus", "image": [b"a", b"b"]}]
    with pytest.raises(InvalidArgumentError, match=r"^controls\[0\]\.image: is given twice, as a file each time"):
        beside({"controls": [{"name": "canny"}]}, {"controls[0].image": [b"a", b"b"]})


def test_of_those_that_are_kept_the_ids_are_shown() -> None:
    assert shown(REQUEST)["ip_adapters"][1]["image"] == ["inline", "picture:1"]
