"""The files of a CLIPTokenizer, read with the precedence that transformers gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tokenizers import AddedToken, models, pre_tokenizers

from triptych.checkpoint.configs import broken, parse_object
from triptych.checkpoint.recognition import ENOUGH_BYTES, recognized
from triptych.errors import CheckpointInvalidError

WORD_END = "</w>"

_CONFIG = "tokenizer_config.json"
# All that is ever read.
NAMES = (_CONFIG, "tokenizer.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt")
_DEFAULT_LENGTH = 77
_LONGEST = 4096
_END = "<|endoftext|>"
_DEFAULTS = {"bos_token": "<|startoftext|>", "eos_token": _END, "unk_token": _END, "pad_token": _END}
# What another value of these would change in a prompt's ids, transformers does and this does not.
_FIXED: dict[str, object] = {"padding_side": "right", "truncation_side": "right", "split_special_tokens": False}
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

Read = Callable[[str], bytes | None]
"""Gives a file's content by its name; None where there is none of that name."""


class TokenizerFiles:
    """One tokenizer's vocabulary, merges and special tokens; whatever is wrong names its file.

    `folder` is what errors call their place.
    """

    def __init__(self, folder: str, read: Read) -> None:
        self._folder = folder
        self._read_file = read
        self._config = self._json(_CONFIG) or {}
        for key, value in _FIXED.items():
            if self._config.get(key) not in (None, value):
                raise self._broken(_CONFIG, f"{key} must be {value!r}; nothing else is supported")
        self._whole = self._json("tokenizer.json")
        self._listed = self._config.get("added_tokens_decoder")
        self._values = dict(self._config)
        if not isinstance(self._listed, dict):  # newer configs list the ids, and the older file no longer counts
            self._values |= self._json("special_tokens_map.json") or {}
        self._by_id = self._tokens_by_id()
        self._named = self._named_tokens()

    def max_length(self) -> int:
        """Tokens of a prompt with its start and end, padded."""
        length = self._config.get("model_max_length", _DEFAULT_LENGTH)
        if isinstance(length, bool) or not isinstance(length, int | float) or not length >= 3:
            raise self._broken(_CONFIG, f"model_max_length is {length!r}")
        return int(length) if length <= _LONGEST else _DEFAULT_LENGTH  # transformers writes 1e30 for "unset"

    def special_tokens(self) -> dict[str, str]:
        """The text of the tokens that frame a prompt."""
        return {name: _text(self._named[name]) for name in _DEFAULTS}

    def added_tokens(self) -> list[AddedToken]:
        """Tokens that are matched in a prompt before its words are split, in transformers' order."""
        tokens: list[AddedToken] = [token for _, token in sorted(self._by_id.items())]
        known = {token.content for token in tokens}
        extra = self._values.get("additional_special_tokens") or self._values.get("extra_special_tokens") or []
        more = [
            *self._named.values(),
            *(self._token(token) for token in (extra if isinstance(extra, list) else [])),
        ]
        for token in more:
            if _text(token) not in known:
                tokens.append(AddedToken(token, special=True) if isinstance(token, str) else token)
        named = {_text(token) for token in self._named.values()}
        for token in tokens:
            token.special = token.special or token.content in named
        return tokens

    def model(self) -> models.BPE:
        """Byte-pair encoding of `tokenizer.json`, or else of `vocab.json` and `merges.txt`."""
        if self._whole is not None:
            file, part = "tokenizer.json", self._whole.get("model")
            vocab, merges = (part.get("vocab"), part.get("merges")) if isinstance(part, dict) else (None, None)
        else:
            file, vocab, merges = "vocab.json", self._json("vocab.json"), self._merges()
        if not isinstance(vocab, dict) or not all(type(i) is int and i >= 0 for i in vocab.values()):
            raise self._broken(file, "missing, or no vocabulary of tokens and ids")
        if not isinstance(merges, list) or not all(_is_pair(merge) for merge in merges):
            raise self._broken("merges.txt" if self._whole is None else file, "the merges are not pairs of tokens")
        split = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
        pairs = [(first, second) for first, second in split]
        unknown = _text(self._named["unk_token"])
        if unknown not in vocab and (lost := _lost_symbol(vocab)):
            raise self._broken(file, f"it has neither {lost!r} nor the unk_token {unknown!r}, which would stand for it")
        try:
            return models.BPE(vocab=vocab, merges=pairs, unk_token=unknown, end_of_word_suffix=WORD_END)
        except Exception as error:  # the Rust library raises nothing narrower
            raise self._broken(file, f"the vocabulary and the merges do not fit: {error}") from error

    def _merges(self) -> list[str]:
        content = self._read("merges.txt")
        if content is None:
            raise self._broken("merges.txt", "missing")
        if kind := recognized(content[:ENOUGH_BYTES]):
            raise self._broken("merges.txt", kind)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._broken("merges.txt", str(error)) from error
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        return [line for line in lines if line and not line.startswith("#version")]

    def _tokens_by_id(self) -> dict[int, AddedToken]:
        if isinstance(self._listed, dict):
            pairs = [(number, self._token(token)) for number, token in self._listed.items()]
        else:
            special = {_text(self._token(self._values[name])) for name in _NAMED if self._values.get(name)}
            older = self._json("added_tokens.json") or {}
            pairs = [
                (number, AddedToken(text, normalized=text not in special, special=text in special))
                for text, number in older.items()
            ]
            listed = (self._whole or {}).get("added_tokens")
            for token in listed if isinstance(listed, list) else []:
                pairs.append((token.get("id") if isinstance(token, dict) else None, self._token(token)))
        if not all(_is_id(number) and isinstance(token, AddedToken) for number, token in pairs):
            raise self._broken(_CONFIG, "an added token lacks its id or its flags")
        return {int(str(number)): token for number, token in pairs if isinstance(token, AddedToken)}

    def _named_tokens(self) -> dict[str, str | AddedToken]:
        given = {name: self._values[name] for name in _NAMED if self._values.get(name) is not None}
        by_text = {token.content: token for token in self._by_id.values()}
        tokens = {name: self._token((_DEFAULTS | given)[name]) for name in _NAMED if name in _DEFAULTS | given}
        if not all(_text(token) for token in tokens.values()):
            raise self._broken(_CONFIG, "a special token is empty")
        return {name: by_text.get(_text(token), token) for name, token in tokens.items()}

    def _token(self, value: object) -> str | AddedToken:
        """A token is written as its text, or as its text and flags."""
        if isinstance(value, str):
            return value
        flags = ("lstrip", "rstrip", "single_word", "normalized", "special")
        if not isinstance(value, dict) or not isinstance(value.get("content"), str):
            raise self._broken(_CONFIG, f"{value!r} is not a token")
        return AddedToken(value["content"], **{flag: bool(value[flag]) for flag in flags if flag in value})

    def _json(self, file: str) -> dict[str, object] | None:
        content = self._read(file)
        return None if content is None else parse_object(self._name(file), content)

    def _read(self, file: str) -> bytes | None:
        try:
            return self._read_file(file)
        except OSError as error:
            raise self._broken(file, str(error)) from error

    def _broken(self, file: str, problem: str) -> CheckpointInvalidError:
        return broken(self._name(file), problem)

    def _name(self, file: str) -> Path:
        return Path(self._folder, file)


def _lost_symbol(vocab: Mapping[str, int]) -> str | None:
    """One of the symbols for a byte, inside of a word and at its end, that the vocabulary lacks; None if it has all."""
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    return next((text for symbol in symbols for text in (symbol, symbol + WORD_END) if text not in vocab), None)


def _text(token: str | AddedToken) -> str:
    return token if isinstance(token, str) else str(token.content)


def _is_id(number: object) -> bool:
    return len(str(number)) <= 9 and str(number).isdecimal()


def _is_pair(merge: object) -> bool:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    return isinstance(parts, list) and len(parts) == 2 and all(isinstance(part, str) for part in parts)
