"""Build the checkpoint's CLIP tokenizer: every byte has a symbol, every word of the captions is one token.

The files have the format of CLIP's own byte-level BPE (Radford et al. 2021), so ``CLIPTokenizer`` reads them;
text beyond the captions' words falls apart into single bytes, but always tokenizes.
"""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Final

from transformers import CLIPTokenizer

from triptych_training.drawing import COLOURS, RADII, SHAPES
from triptych_training.models import TOKEN_COUNT
from triptych_training.scenes import WORDS

START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"
WORD_END: Final = "</w>"

PLAIN_WORDS: Final[tuple[str, ...]] = (
    "a", "an", "and", "at", "the", "on", "in", "of", "with", "left", "right", "top", "bottom", "corner",
    "picture", "image", "drawing", "photo", "painting", "middle", "next", "to", "above", "below", "beside",
    "two", "no", "blurry", "bright", "dark", "style",
)  # fmt: skip
"""Words besides the scenes' own; a few are for later fine-tuning and stay untrained here."""


def byte_symbols() -> list[str]:
    """Return the 256 printable characters that stand for the 256 bytes, in the order of GPT-2 and CLIP."""
    spans = (("!", "~"), ("¡", "¬"), ("®", "ÿ"))
    printable = [code for first, last in spans for code in range(ord(first), ord(last) + 1)]
    others = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(256 + index) for index in range(others)]


def scene_words() -> list[str]:
    """Return every word a caption may hold, sorted."""
    synonyms = [word for words in WORDS.values() for word in words]
    return sorted({*COLOURS, *SHAPES, *RADII, *synonyms, *PLAIN_WORDS})


def build_merges(words: list[str]) -> list[tuple[str, str]]:
    """Learn byte pair merges until each word is one token (Sennrich et al. 2016, algorithm 1)."""
    pieces = [(*word[:-1], word[-1] + WORD_END) for word in words]
    merges: list[tuple[str, str]] = []
    while counts := Counter(pair for piece in pieces for pair in pairwise(piece)):
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        pieces = [_merge(piece, best) for piece in pieces]
    return merges


def _merge(piece: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for symbol in piece:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return tuple(merged)


def write_tokenizer(folder: Path) -> None:
    """Write vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = byte_symbols()
    merges = build_merges(scene_words())
    tokens = [*symbols, *(symbol + WORD_END for symbol in symbols), *dict.fromkeys(a + b for a, b in merges)]
    vocabulary = {token: index for index, token in enumerate([*tokens, START, END])}
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    config = {
        **special,
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": TOKEN_COUNT,
        "tokenizer_class": "CLIPTokenizer",
    }
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", encoding="utf-8")


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """Return the tokenizer that ``write_tokenizer`` wrote into ``folder``."""
    return CLIPTokenizer.from_pretrained(folder)


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> list[list[int]]:
    """Return the token ids of ``captions``, each padded or cut to 77."""
    encoded = tokenizer(captions, padding="max_length", max_length=TOKEN_COUNT, truncation=True)
    return [list(ids) for ids in encoded["input_ids"]]
