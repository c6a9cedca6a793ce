from __future__ import annotations

import time

import pytest

from triptych_orchestrator.text.syntax import literal_syntax

WEIGHTS, SCHEDULES, CHUNKS, PROMPTS = "weights", "schedules and alternatives", "chunks", "several prompts"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a (red:1.3) fox", {WEIGHTS: "(red:1.3)"}),
        ("a (red fox: .5 ), (b:2)", {WEIGHTS: "(red fox: .5 )"}),
        ("a ((red)) fox", {WEIGHTS: "((red))"}),
        ("a fox (brown)", {WEIGHTS: "(brown)"}),
        ("a [red] fox", {WEIGHTS: "[red]"}),
        ("((a:1.1) b:1.2)", {WEIGHTS: "((a:1.1) b:1.2)"}),
        ("a [red:blue:0.5] fox", {SCHEDULES: "[red:blue:0.5]"}),
        ("a [red::0.5] fox [a|b]", {SCHEDULES: "[red::0.5]"}),
        ("a [cow|horse] (fox)", {SCHEDULES: "[cow|horse]", WEIGHTS: "(fox)"}),
        ("([a:b:1]:1.2)", {SCHEDULES: "[a:b:1]", WEIGHTS: "([a:b:1]:1.2)"}),
        ("[(a:1.2)]", {WEIGHTS: "[(a:1.2)]"}),
        ("a fox BREAK a dog", {CHUNKS: "BREAK"}),
        ("a fox AND a dog", {PROMPTS: "AND"}),
        (r"\\(red) \(x\) \[y\]", {WEIGHTS: "(red)"}),
        ("", {}),
        ("a red fox: small, it's 3|4 | {b} <c>", {}),
        (r"a fox \(brown\), \[red:1.2\]", {}),
        ("smile :) frown :( and (never closed", {}),
        ("closed) only] (crossed]", {}),
        ("BREAKING bread, a break and and OR ANDROID", {}),
    ],
)
def test_what_is_syntax_in_a1111_is_told(prompt: str, expected: dict[str, str]) -> None:
    said = [
        f"the negative prompt's {text!r} is taken literally: A1111's syntax for {kind} is not supported"
        for kind, text in expected.items()
    ]
    assert sorted(literal_syntax("negative_prompt", prompt)) == sorted(said)


def test_long_ones_are_clipped_and_read_in_one_pass() -> None:
    (said,) = literal_syntax("prompt", f"({'x' * 5_000}:1.3)")
    assert len(said) < 200
    began = time.process_time()
    for hostile in ("(" * 50_000, "[:" * 25_000, "\\" * 50_001, "(" * 25_000 + ")" * 25_000):
        literal_syntax("prompt", hostile)
    assert time.process_time() - began < 5
