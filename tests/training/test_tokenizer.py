"""Any text must tokenize, and the words of the captions must be one token each."""

from pathlib import Path

import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from transformers import CLIPTokenizer

from triptych_training.scenes import training_example
from triptych_training.tokenizer import (
    END,
    START,
    byte_symbols,
    load_tokenizer,
    scene_words,
    tokenize,
    write_tokenizer,
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return load_tokenizer(folder)


def test_every_byte_has_its_two_symbols(tokenizer: CLIPTokenizer) -> None:
    vocabulary = tokenizer.get_vocab()
    symbols = byte_symbols()
    assert len(set(symbols)) == 256
    assert all(symbol in vocabulary and symbol + "</w>" in vocabulary for symbol in symbols)


@pytest.mark.parametrize("text", ["", "an astronaut", "Größe 猫\x00", "🦜🦜", "!?%&()[]{}~", "ÀÉÎ" * 200])
def test_any_text_tokenizes_without_an_unknown_token(tokenizer: CLIPTokenizer, text: str) -> None:
    (ids,) = tokenize(tokenizer, [text])
    assert len(ids) == 77
    assert ids[0] == tokenizer.convert_tokens_to_ids(START)
    end = tokenizer.convert_tokens_to_ids(END)
    assert end in ids
    # The end token doubles as the unknown token: before the padding it must stand only at the end.
    assert set(ids[ids.index(end) :]) == {end}


@pytest.mark.parametrize("word", scene_words())
def test_a_scene_word_is_one_token(tokenizer: CLIPTokenizer, word: str) -> None:
    assert len(tokenizer(word).input_ids) == 3


def test_captions_fit_in_the_context(tokenizer: CLIPTokenizer) -> None:
    for seed in range(100):
        assert len(tokenizer(training_example(seed).caption).input_ids) < 40


def test_writing_twice_gives_the_same_files(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "one")
    write_tokenizer(tmp_path / "two")
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
