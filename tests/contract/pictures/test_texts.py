from __future__ import annotations

import pytest

from triptych.contract.pictures.texts import request_in_xmp, xmp_of


@pytest.mark.parametrize("text", ["", "{}", '{"prompt":"<a> & \\u56f3 ]]></rdf:RDF></triptych:request>"}'])
def test_a_request_comes_back_out_of_its_packet(text: str) -> None:
    assert request_in_xmp(xmp_of(text)) == text


@pytest.mark.parametrize("packet", [b"", b"<triptych:request>", b"\xff\xfe" * 9, b"</triptych:request>" * 3])
def test_what_holds_none_gives_none(packet: bytes) -> None:
    assert request_in_xmp(packet) == ""
