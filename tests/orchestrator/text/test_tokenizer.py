"""Token ids against transformers' CLIPTokenizer, on a vocabulary built here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from triptych.errors import CheckpointInvalidError, InvalidArgumentError
from triptych_orchestrator.text.textual_inversion import expand, vectors
from triptych_orchestrator.text.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")
diffusers = pytest.importorskip("diffusers")

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = "a photo of an astronaut riding the red fox in watercolour it's we've don't i'm they'll café 123 !!! ..."

NASTY = [
    "",
    " ",
    "a photo of an astronaut riding a red fox",
    "A PHOTO, of An AsTrOnAuT!",
    "hello!world !! !",
    "it's we've DON'T i'm they'll she'd you're 'twas 'S o'clock ''",
    "café CAFE\u0301 naïve Ångström \u212b ŒUVRE ß ẞ İstanbul",
    "日本語の絵 русский عربى हिन्दी ไทย 한국어",
    "🦊🔥👩‍👩‍👧‍👦🇩🇪 emoji",
    "tabs\tand\nnewlines\r\n\x0b\x0c and \u00a0 wide\u3000space\u2003",
    "control \x00 \x01 \x1f \x7f \x85 \ufeff \u200b \u200d \ufffd chars",
    "1234567890 ½ ² Ⅷ ٣",
    f"{START} inside {END} the prompt{END}",
    "<|ENDOFTEXT|> <|startOfText|> <|endoftext |>",
    "(attention:1.2) [b] {c} <lora:x:1> \\( a_b-c/d",
    "snake_case __init__ ---- ....., ;:'\"`~@#$%^&*",
    "word " * 500,
    "x" * 3000,
    "🔥" * 200,
    "\U0010ffff \ud7ff \ue000",
]


@pytest.fixture(scope="module")
def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's layout in small: 256 bytes, the same ending words, merges, then the two special tokens."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = ["!", *(letter for letter in letters if letter != "!")]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges: list[tuple[str, str]] = []
    for word in WORDS.replace("'", " '").split():
        to_bytes = "".join(piece for piece, _ in pre_tokenizers.ByteLevel(False).pre_tokenize_str(word))
        parts = [*to_bytes[:-1], f"{to_bytes[-1]}</w>"]
        while len(parts) > 1:
            if (parts[0], parts[1]) not in merges:
                merges.append((parts[0], parts[1]))
                tokens.append(parts[0] + parts[1])
            parts = [parts[0] + parts[1], *parts[2:]]
    tokens = [*dict.fromkeys(tokens), START, END]
    return {token: number for number, token in enumerate(tokens)}, merges


def flags(content: str, **more: Any) -> dict[str, Any]:
    return {
        "content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, **more
    }  # fmt: skip


SD1_CONFIG = {
    "add_prefix_space": False,
    "bos_token": {"__type": "AddedToken", **flags(START)},
    "do_lower_case": True,
    "eos_token": {"__type": "AddedToken", **flags(END)},
    "errors": "replace",
    "model_max_length": 77,
    "pad_token": END,
    "tokenizer_class": "CLIPTokenizer",
    "unk_token": {"__type": "AddedToken", **flags(END)},
}
SD1_MAP = {"bos_token": flags(START), "eos_token": flags(END), "pad_token": END, "unk_token": flags(END)}
SD2_CONFIG = {**SD1_CONFIG, "pad_token": END}
SD2_MAP = {**SD1_MAP, "pad_token": "!"}


def decoder_config(vocab: dict[str, int], pad: str) -> dict[str, Any]:
    """As newer exports write it, ids and all."""
    listed = {
        str(vocab[START]): flags(START, special=True),
        str(vocab[END]): flags(END, special=True),
        **({str(vocab[pad]): flags(pad, normalized=False, special=True)} if pad != END else {}),
    }
    plain = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": pad}
    return {**plain, "added_tokens_decoder": listed, "model_max_length": 77, "additional_special_tokens": []}


KINDS = ["sd1", "sd2", "plain", "bare", "decoder", "decoder-pad", "new-pad", "added"]
ONE_FILE = ["tokenizer-json", "sd2-tokenizer-json", "lone-tokenizer-json"]


@pytest.fixture(params=[*KINDS, *ONE_FILE, "lone-vocabulary"])
def directory(request: pytest.FixtureRequest, tmp_path: Path, vocabulary: Any) -> Path:
    vocab, merges = vocabulary
    path = tmp_path / "tokenizer"
    path.mkdir()
    plain = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END, "model_max_length": 77}
    files: Any = {
        "sd1": {"tokenizer_config.json": SD1_CONFIG, "special_tokens_map.json": SD1_MAP},
        "sd2": {"tokenizer_config.json": SD2_CONFIG, "special_tokens_map.json": SD2_MAP},
        "plain": {"tokenizer_config.json": plain},
        "bare": {"tokenizer_config.json": {"model_max_length": 12}},
        "decoder": {"tokenizer_config.json": decoder_config(vocab, END), "special_tokens_map.json": SD2_MAP},
        "decoder-pad": {"tokenizer_config.json": decoder_config(vocab, "!")},
        "tokenizer-json": {"tokenizer_config.json": SD1_CONFIG, "special_tokens_map.json": SD1_MAP},
        "sd2-tokenizer-json": {"tokenizer_config.json": SD2_CONFIG, "special_tokens_map.json": SD2_MAP},
        "lone-tokenizer-json": {},
        "lone-vocabulary": {},
        "new-pad": {"tokenizer_config.json": {**plain, "pad_token": "<pad>"}},
        "added": {
            "tokenizer_config.json": {**plain, "additional_special_tokens": ["<style>"]},
            "added_tokens.json": {"<cat-toy>": len(vocab)},
        },
    }[request.param]
    files["vocab.json"] = vocab
    for file, content in files.items():
        (path / file).write_text(json.dumps(content), "utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges), ""]
    (path / "merges.txt").write_text("\n".join(lines), "utf-8")
    if request.param in ONE_FILE:
        transformers.CLIPTokenizer.from_pretrained(path).backend_tokenizer.save(str(path / "tokenizer.json"))
        (path / "vocab.json").unlink()
        (path / "merges.txt").unlink()
    return path


def test_ids_equal_transformers(directory: Path) -> None:
    theirs = transformers.CLIPTokenizer.from_pretrained(directory)
    tokenizer = Tokenizer.from_directory(directory)
    prompts = [*NASTY, "a <style> of <cat-toy>s <pad>"]
    encoded = tokenizer.encode(prompts)
    length = min(theirs.model_max_length, 77)  # where no file says so, theirs is without end
    assert encoded.input_ids.shape == (len(prompts), length)
    assert encoded.input_ids.dtype == "int64"
    assert tokenizer.largest_id == max(theirs.get_vocab().values())
    for prompt, ids, rest in zip(prompts, encoded.input_ids.tolist(), encoded.truncated, strict=True):
        assert ids == theirs(prompt, padding="max_length", max_length=length, truncation=True).input_ids, prompt
        whole = theirs(prompt, padding="longest").input_ids
        assert rest == (theirs.decode(whole[length - 1 : -1]) if len(whole) > length else ""), prompt


def test_the_cut_off_text_is_reported_for_each_prompt(directory: Path) -> None:
    tokenizer = Tokenizer.from_directory(directory)
    room = tokenizer.max_length - 2
    encoded = tokenizer.encode(["fox " * room, "fox " * room + "red fox", "red"])
    assert encoded.truncated == ["", "red fox", ""]
    assert tokenizer.encode([]).input_ids.shape == (0, tokenizer.max_length)


def test_ids_past_the_text_encoders_vocabulary_are_refused(directory: Path) -> None:
    tokenizer = Tokenizer.from_directory(directory)
    tokenizer.check_vocabulary(tokenizer.largest_id + 1, "text_encoder/config.json")
    with pytest.raises(CheckpointInvalidError, match="vocab_size") as caught:
        tokenizer.check_vocabulary(tokenizer.largest_id, "text_encoder/config.json")
    assert caught.value.metadata["file"] == "text_encoder/config.json"


@pytest.mark.parametrize("directory", ["sd1"], indirect=True)
def test_text_that_is_not_unicode_is_refused(directory: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="prompt"):
        Tokenizer.from_directory(directory).encode(["lone \ud800 surrogate"])


@pytest.mark.parametrize("directory", ["sd1"], indirect=True)
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("vocab.json", None),
        ("vocab.json", b"[1]"),
        ("vocab.json", b'{"a": '),
        ("vocab.json", b'{"a": "b"}'),
        ("vocab.json", b"\xff\xfe"),
        ("vocab.json", b"[" * 100_000),
        ("merges.txt", None),
        ("merges.txt", b"#version\nonly\n"),
        ("merges.txt", b"a b c\n"),
        ("tokenizer_config.json", b'{"model_max_length": "77"}'),
        ("tokenizer_config.json", b'{"model_max_length": 0}'),
        ("tokenizer_config.json", b'{"sep_token": 3}'),
        ("tokenizer_config.json", b'{"padding_side": "left"}'),
        ("tokenizer_config.json", b'{"truncation_side": "left"}'),
        ("tokenizer_config.json", b'{"split_special_tokens": true}'),
        ("tokenizer_config.json", b'{"added_tokens_decoder": {"x": {"content": "a"}}}'),
        ("tokenizer_config.json", b'{"added_tokens_decoder": {"1": {"text": "a"}}}'),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b'{"model": {"vocab": {"a": 1}, "merges": [["a"]]}}'),
    ],
)
def test_a_broken_directory_names_the_file(directory: Path, file: str, content: bytes | None) -> None:
    path = directory / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(CheckpointInvalidError) as caught:
        Tokenizer.from_directory(directory)
    assert caught.value.metadata["file"] == f"tokenizer/{file}"


@pytest.mark.parametrize("directory", ["plain"], indirect=True)
def test_a_vocabulary_that_lacks_a_byte_needs_its_unk_token(directory: Path) -> None:
    """A prompt with that byte could not be encoded, which transformers too finds out only then."""
    file = directory / "vocab.json"
    vocabulary = json.loads(file.read_text())
    without_unknown = {token: number for token, number in vocabulary.items() if token != END}
    file.write_text(json.dumps(without_unknown))
    Tokenizer.from_directory(directory).encode(NASTY)
    for symbol in ("z", "z</w>"):
        incomplete = {token: number for token, number in without_unknown.items() if token != symbol}
        file.write_text(json.dumps(incomplete))
        with pytest.raises(CheckpointInvalidError, match=f"neither '{symbol}' nor the unk_token") as caught:
            Tokenizer.from_directory(directory)
        assert caught.value.metadata["file"] == "tokenizer/vocab.json"
        file.write_text(json.dumps(incomplete | {END: vocabulary[END]}))
        Tokenizer.from_directory(directory).encode(["zzz"])


@pytest.mark.parametrize("directory", ["plain"], indirect=True)
@pytest.mark.parametrize(
    "config",
    [
        {"added_tokens_decoder": {"600": {"content": "\ud800"}}},
        {"additional_special_tokens": ["\udfff"]},
        {"pad_token": "x\ud800"},
    ],
)
def test_tokens_that_are_not_unicode_are_refused(directory: Path, config: dict[str, Any]) -> None:
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointInvalidError, match="surrogate") as caught:
        Tokenizer.from_directory(directory)
    assert caught.value.metadata["file"] == "tokenizer/tokenizer_config.json"


@pytest.mark.parametrize("directory", ["plain"], indirect=True)
def test_an_empty_special_token_is_refused(directory: Path) -> None:
    (directory / "tokenizer_config.json").write_text('{"pad_token": ""}', "utf-8")
    with pytest.raises(CheckpointInvalidError, match="empty"):
        Tokenizer.from_directory(directory)


@pytest.mark.parametrize("directory", ["sd1"], indirect=True)
def test_merges_of_tokens_that_do_not_exist_are_refused(directory: Path) -> None:
    (directory / "merges.txt").write_text("nope never\n", "utf-8")
    with pytest.raises(CheckpointInvalidError, match="do not fit"):
        Tokenizer.from_directory(directory)


def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalidError):
        Tokenizer.from_directory(tmp_path / "tokenizer")


VECTORS = ["<cat-toy>", "<cat-toy>_1", "<cat-toy>_2", "<Ink>", "<Ink>_1", "plain", "fox", "fox_1", "<alone>_1"]


@pytest.fixture(params=["older", "listed"])
def inverted(request: pytest.FixtureRequest, tmp_path: Path, vocabulary: Any) -> Path:
    """A tokenizer with textual inversions, as saved by transformers before and since its fourth version."""
    vocab, merges = vocabulary
    path = tmp_path / "tokenizer"
    path.mkdir()
    ids = {token: len(vocab) + index for index, token in enumerate(VECTORS)}
    config = SD1_CONFIG
    if request.param == "listed":
        config = decoder_config(vocab, END)
        config["added_tokens_decoder"] |= {str(number): flags(token) for token, number in ids.items()}
    else:
        (path / "added_tokens.json").write_text(json.dumps(ids))
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    (path / "vocab.json").write_text(json.dumps(vocab), "utf-8")
    (path / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges), ""]), "utf-8")
    return path


@pytest.mark.parametrize(
    "prompt",
    [
        "a <cat-toy> on the <Ink>, <cat-toy>s",
        "a <CAT-TOY> and <ink>",
        "fox, foxes and firefox",
        "<cat-toy>_1 alone, <alone>_1, plain",
        "<cat-toy><Ink>fox " * 20,
        f"{START}<cat-toy>{END}",
    ],
)
def test_textual_inversions_of_several_vectors_are_written_out_as_diffusers_does(inverted: Path, prompt: str) -> None:
    theirs = transformers.CLIPTokenizer.from_pretrained(inverted)
    length = theirs.model_max_length
    written = diffusers.loaders.TextualInversionLoaderMixin().maybe_convert_prompt(prompt, theirs)
    encoded = Tokenizer.from_directory(inverted).encode([prompt])
    assert encoded.input_ids.tolist()[0] == theirs(written, padding="max_length", truncation=True).input_ids
    whole = theirs(written, padding="longest").input_ids
    assert encoded.truncated == [theirs.decode(whole[length - 1 : -1]) if len(whole) > length else ""]


def test_vectors_that_contain_each_other_do_not_grow_without_end() -> None:
    written = vectors({f"{token}{number}" for token in "x_1" for number in ("", *(f"_{n}" for n in range(1, 70)))})
    with pytest.raises(InvalidArgumentError, match="written out it is longer"):
        expand("x_1 " * 2_000, ["x", "_", "1"], written)
    assert expand("a x", ["a", "x"], {"x": "x x_1"}) == "a x x_1"
