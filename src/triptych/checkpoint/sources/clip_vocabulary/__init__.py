"""CLIP's vocabulary, as the files of a tokenizer's folder: single files bring none, and all of them mean this one.

The merges are those of open_clip_torch (LICENSE.open_clip; tools/ship_clip_vocabulary.py), which are OpenAI's. The
tokens follow from them.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from importlib import resources

_SPECIAL = ("<|startoftext|>", "<|endoftext|>")
_LENGTH = 77


def tokenizer_file(name: str, pad_token: str) -> bytes | None:
    """The file's content where a tokenizer that pads with that token has one of that name."""
    match name:
        case "merges.txt":
            return _merges()
        case "vocab.json":
            return _vocabulary()
        case "tokenizer_config.json":
            return _config(pad_token)
    return None


@cache
def _merges() -> bytes:
    return gzip.decompress(resources.files(__package__).joinpath("merges.txt.gz").read_bytes())


@cache
def _vocabulary() -> bytes:
    """Every byte inside of a word, every byte at its end, what each merge makes, and the special tokens."""
    symbols = _byte_symbols()
    merged = [line.replace(" ", "") for line in _merges().decode().splitlines()[1:]]
    tokens = [*symbols, *(f"{symbol}</w>" for symbol in symbols), *merged, *_SPECIAL]
    return json.dumps({token: number for number, token in enumerate(tokens)}).encode()


@cache
def _config(pad_token: str) -> bytes:
    """As the repositories of Stable Diffusion have it."""
    flags = {"__type": "AddedToken", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    start, end = ({"content": token, **flags} for token in _SPECIAL)
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": pad_token}
    return json.dumps({"model_max_length": _LENGTH, "tokenizer_class": "CLIPTokenizer", **special}).encode()


def _byte_symbols() -> list[str]:
    """A printable character for each byte, in OpenAI's order: those that are printable first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(256 - len(printable))]
