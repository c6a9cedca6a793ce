"""The vocabulary that the package ships for files without one, against the ids that CLIP is known for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.orchestrator.text.test_tokenizer import NASTY
from tests.single_files import save_clip_tokenizer
from triptych.checkpoint.sources.clip_vocabulary import tokenizer_file

transformers = pytest.importorskip("transformers")


def test_ids_are_those_of_clip() -> None:
    vocabulary: dict[str, int] = json.loads(tokenizer_file("vocab.json", "!") or b"")
    assert sorted(vocabulary.values()) == list(range(49_408))
    # From OpenAI's own vocab.json.
    known = {"!": 0, "a</w>": 320, "photo</w>": 1125, "of</w>": 539, "cat</w>": 2368, "astronaut</w>": 18376}
    known |= {"<|startoftext|>": 49_406, "<|endoftext|>": 49_407}
    assert {token: vocabulary[token] for token in known} == known
    assert tokenizer_file("tokenizer.json", "!") is None


@pytest.mark.parametrize("pad_token", ["<|endoftext|>", "!"])
def test_prompts_are_split_as_transformers_does(tmp_path: Any, pad_token: str) -> None:
    from triptych_orchestrator.text.shared_tokenizers import shared_tokenizer

    save_clip_tokenizer(tmp_path / "tokenizer", pad_token)
    theirs = transformers.CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    ours = shared_tokenizer("tokenizer", lambda name: tokenizer_file(name, pad_token))
    prompts = [*NASTY, "a photo of a cat!"]
    expected = theirs(prompts, padding="max_length", max_length=77, truncation=True).input_ids
    assert ours.encode(prompts).input_ids.tolist() == expected
    assert expected[-1][-1] == {"!": 0}.get(pad_token, 49_407)
    assert shared_tokenizer("tokenizer", lambda name: tokenizer_file(name, pad_token)) is ours
