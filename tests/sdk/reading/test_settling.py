"""Names for checkpoints and LoRAs that a server has: by content first, and nothing silently another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from triptych.sdk import Checkpoint, Lora, PictureRequest
from triptych.sdk.reading.settling import settled


def checkpoint(name: str, sha256: str = "") -> Checkpoint:
    return Checkpoint(name, "/x", "loaded", "", "", "", "ddim", 64, 64, 8, 1, sha256=sha256)


INK, OIL = (Lora(name, "0" * 64, 1, "kohya", 1, 4) for name in ("ink", "oil"))
KNOWN = [checkpoint("demo", "ab" * 32), checkpoint("other", "cd" * 32), checkpoint("new")]
THEIRS = PictureRequest({"prompt": "a"}, [], "a1111")
OURS = replace(THEIRS, origin="triptych")


def of(request: PictureRequest, name: str | None, digest: str = "", **parameters: Any) -> tuple[Any, list[str]]:
    named = {"checkpoint": name} if name is not None else {}
    hashes = {"checkpoint": digest} if digest else {}
    found = settled(replace(request, parameters={"prompt": "a", **named, **parameters}, hashes=hashes), KNOWN, [INK])
    return found.parameters.get("checkpoint"), found.left_out


def test_content_goes_before_a_name() -> None:
    assert of(THEIRS, "demo", "abababab") == ("demo", [])
    assert of(THEIRS, "v1-5", "cdcdcdcdcd") == ("other", ["checkpoint: 'v1-5' is 'other' here"])
    assert of(THEIRS, "demo", "CDCDCDCD")[0] == "other"
    assert of(THEIRS, None, "abababab") == ("demo", ["checkpoint: 'abababab' is 'demo' here"])
    assert of(OURS, "gone", "ab" * 32)[0] == "demo"


def test_what_is_not_here_is_told() -> None:
    assert of(THEIRS, "v1-5", "99999999") == (None, ["checkpoint: 'v1-5' is not registered here"])
    # Our own is asked for by its name, and refused by it: it would be another picture.
    assert of(OURS, "gone", "99" * 32) == ("gone", ["checkpoint: 'gone' is not registered here"])
    assert of(THEIRS, "demo", "99999999") == ("demo", ["checkpoint: 'demo' has other weights here"])
    assert of(OURS, "new", "ab" * 32) == ("new", [])  # whose content is not known yet


def test_a_hash_of_a_letter_or_two_means_nothing() -> None:
    assert of(THEIRS, "x", "ab") == (None, ["checkpoint: 'x' is not registered here"])


def test_loras_that_are_not_kept_are_left_out() -> None:
    request = replace(
        THEIRS, parameters={"prompt": "a <lora:oil:1> fox <lora:ink:0.5>", "loras": [("ink", 1, 1), ("x", 1, 1)]}
    )
    found = settled(request, KNOWN, [INK])
    assert found.parameters == {"prompt": "a  fox <lora:ink:0.5>", "loras": [("ink", 1, 1)]}
    assert found.left_out == ["lora 'x': is not kept here", "lora 'oil': is not kept here"]
    ours = settled(replace(request, origin="triptych"), KNOWN, [OIL])
    assert ours.parameters == request.parameters and ours.left_out == []
