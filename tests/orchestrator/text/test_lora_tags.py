from __future__ import annotations

import pytest

from triptych.errors import InvalidArgumentError
from triptych_orchestrator.text.lora_tags import AskedLora, has_tags, other_tags, take_tags


@pytest.mark.parametrize(
    ("tag", "unet", "text_encoder"),
    [
        ("<lora:ink>", 1.0, 1.0),
        ("<lora:ink:0.8>", 0.8, 0.8),
        ("<lora:ink:-0.8>", -0.8, -0.8),
        ("<lora:ink:.5:1e-3>", 0.001, 0.5),
        ("<lora:ink:0.5:0>", 0.0, 0.5),
        ("<lora:ink:te=0.5:unet=0.8>", 0.8, 0.5),
        ("<lora:ink:unet=0.8:te=0.5>", 0.8, 0.5),
        ("<lora:ink:te=0.5>", 0.5, 0.5),
        ("<lora:ink:unet=0.5>", 0.5, 1.0),
        ("<lora:ink:0.3:unet=0.5>", 0.5, 0.3),
        ("<lora:ink:0.3:0.4:te=0.5>", 0.4, 0.5),
        ("<lyco:ink:0.8>", 0.8, 0.8),
        ("<lyco:ink:te=0.5:unet=0.8>", 0.8, 0.5),
    ],
)
def test_weights_are_read_as_a1111_reads_them(tag: str, unet: float, text_encoder: float) -> None:
    assert take_tags(tag) == ("", (AskedLora("ink", unet, text_encoder),))


@pytest.mark.parametrize(
    ("prompt", "text", "names"),
    [
        ("", "", []),
        ("a fox", "a fox", []),
        ("a <lora:ink:0.8> fox", "a  fox", ["ink"]),
        ("<lora:b><lora:a>a fox<lora:b:2>", "a fox", ["b", "a", "b"]),
        ("a fox <lora:Ink (v2) blå.1:1>", "a fox ", ["Ink (v2) blå.1"]),
        ("<lyco:a:1>a fox<lora:b@3f2a90c1>", "a fox", ["a", "b@3f2a90c1"]),
        ("a < b, <hypernet:ink:1>, <lora >", "a < b, <hypernet:ink:1>, <lora >", []),
    ],
)
def test_tags_alone_leave_the_prompt(prompt: str, text: str, names: list[str]) -> None:
    rest, tags = take_tags(prompt)
    assert (rest, [tag.name for tag in tags]) == (text, names)


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ("<lora:ink:much>", "'much' is not a number"),
        ("<lora:ink:>", "'' is not a number"),
        ("<lora:ink:0.5:much>", "'much'"),
        ("<lora:ink:te=>", "'' is not a number"),
        ("<lora:ink:nan>", "from -100 to 100, not nan"),
        ("<lora:ink:inf>", "not inf"),
        ("<lora:ink:-100.5>", "not -100.5"),
        ("<lora:ink:1:2:3>", "no more"),
        ("<lora:ink:1:dyn=3>", "no more"),
        ("<lora:>", "names no LoRA"),
        ("<lora:te=0.5>", "names no LoRA"),
        ("<lora:ink", "no closing"),
        ("<lyco:ink", "'<lyco:ink': has no closing"),
        ("<lora:a>, <lora:ink:0.8", "'<lora:ink:0.8': has no closing"),
        ("<lora:ink <lora:wash:1>", "'wash' is not a number"),
        (f"<lora:{'x' * 5000}:y>", "xxx'"),
    ],
)
def test_a_malformed_tag_is_an_error_about_the_prompt(tag: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        take_tags(f"a fox {tag}")
    assert caught.value.metadata["field"] == "prompt"
    assert caught.value.message.startswith("prompt: ") and len(caught.value.message) < 6000


@pytest.mark.parametrize(
    "asked", [AskedLora("ink", 1.0, 1.0), AskedLora("a b", 0.1, 0.1), AskedLora("x", -1e-9, 2 / 3)]
)
def test_a_tag_asks_for_the_same_again(asked: AskedLora) -> None:
    assert take_tags(asked.tag) == ("", (asked,))
    assert AskedLora("ink", 0.8, 1.0).tag == "<lora:ink:1:0.8>"


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("a fox <lora:ink:0.8> <lyco:wash:1>", ()),
        ("a <hypernet:ink:1> fox <hypernet:ink:1>, <segment:x>", ("<hypernet:ink:1>", "<segment:x>")),
        ("a < b: c >, <lora >, <b>, <: x>, <A:b>", ()),
        (f"<wildcard:{'x' * 5000}>", (f"<wildcard:{'x' * 70}",)),
    ],
)
def test_other_tags_are_seen(text: str, tags: tuple[str, ...]) -> None:
    assert other_tags(text) == tags


def test_either_kind_of_tag_is_seen() -> None:
    assert has_tags("a <lyco:ink>") and has_tags("<lora:") and not has_tags("<hypernet:ink:1>")
