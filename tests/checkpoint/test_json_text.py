"""JSON from strangers: what the rest of the code could not walk, print or send is refused where it is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from triptych.checkpoint.json_text import parse_json
from triptych.errors import CheckpointInvalidError
from triptych_orchestrator.library.entry import Entry

FILES = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/special_tokens_map.json",
    *(f"{part}/config.json" for part in ("text_encoder", "unet", "vae")),
]


def test_what_is_sound_is_read() -> None:
    for value in ({"a": [1, 2.5, None, {"b": "\U0001f98a"}]}, [], 7, None, "\u00fc", [[[[[[1]]]]]]):
        assert parse_json(json.dumps(value).encode()) == value
    assert parse_json('{"ü": "\\ud83e\\udd8a"}'.encode()) == {"ü": "\U0001f98a"}


@pytest.mark.parametrize("levels", [100, 480, 700, 950, 20_000])
def test_absurd_nesting_is_refused(levels: int) -> None:
    for text in ("[" * levels + "]" * levels, '{"a":' * levels + "1" + "}" * levels):
        with pytest.raises(ValueError, match="nested deeper than"):
            parse_json(text.encode())


@pytest.mark.parametrize("text", [b'"\\ud800"', b'{"\\uDFFF": 1}', b'[{"a": ["x\\udabcy"]}]', b'"\xed\xa0\x80"'])
def test_half_of_a_surrogate_pair_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"surrogate|utf-8"):
        parse_json(text)


@pytest.fixture
def copy(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("file", FILES)
def test_values_anywhere_in_a_checkpoint(copy: Path, file: str) -> None:
    path = copy / file
    config = json.loads(path.read_text())
    for key in ("odd", next(key for key, value in config.items() if type(value) in (int, str))):
        for value in (nested(480), nested(700), "\ud800", ["\udfff"], {"\ud800": 1}):
            path.write_text(json.dumps(config | {key: value}))
            with pytest.raises(CheckpointInvalidError) as caught:
                Entry("x", copy, "").open()
            assert Path(caught.value.metadata["file"]).name == path.name
            assert len(caught.value.message.encode()) < 1_500


def test_a_huge_value_makes_no_huge_error(copy: Path) -> None:
    path = copy / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"in_channels": "x" * 9_000_000}))
    with pytest.raises(CheckpointInvalidError) as caught:
        Entry("x", copy, "").open()
    assert len(caught.value.message) < 1_500
