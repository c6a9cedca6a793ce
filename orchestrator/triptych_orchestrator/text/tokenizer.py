"""Prompts to token ids, as `transformers.CLIPTokenizer` gives them, by the Rust `tokenizers` library alone.

`Tokenizer.from_directory(checkpoint / "tokenizer").encode(["a red fox"]).input_ids` is int64 [1, 77].
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Regex, decoders, normalizers, pre_tokenizers

from triptych.checkpoint.configs import read_small
from triptych.errors import CheckpointInvalidError, invalid
from triptych_orchestrator.text.textual_inversion import expand, vectors
from triptych_orchestrator.text.tokenizer_files import WORD_END, TokenizerFiles

_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""OpenAI CLIP's words: special tokens, English endings, runs of letters, single digits, runs of the rest."""


@dataclass(frozen=True, eq=False)
class TokenizedPrompts:
    """Ids of a batch, int64 [B, max_length], and for each prompt the text that did not fit ("" where all did)."""

    input_ids: NDArray[np.int64]
    truncated: list[str]


class Tokenizer:
    """A CLIP tokenizer; made once for a checkpoint, safe to share."""

    def __init__(self, backend: tokenizers.Tokenizer, special: Mapping[str, int], max_length: int) -> None:
        self._backend = backend
        self._special = special
        self._vectors = vectors({token.content for token in backend.get_added_tokens_decoder().values()})
        self.max_length = max_length

    @classmethod
    def from_directory(cls, path: Path | str) -> Tokenizer:
        """`of` the files in a directory, which no link may lead out of."""
        folder = Path(path)
        return cls.of(TokenizerFiles(folder.name, functools.partial(_read, folder)))

    @classmethod
    def of(cls, files: TokenizerFiles) -> Tokenizer:
        """From `tokenizer.json`, or `vocab.json` and `merges.txt`, with the special tokens' own files."""
        backend = tokenizers.Tokenizer(files.model())
        backend.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([words, to_bytes])
        backend.decoder = decoders.ByteLevel()
        backend.add_tokens(files.added_tokens())
        ids = backend.get_vocab(with_added_tokens=True)
        special = {name: ids[text] for name, text in files.special_tokens().items()}
        return cls(backend, special, files.max_length())

    @functools.cached_property
    def largest_id(self) -> int:
        """The largest id that a prompt can give."""
        return max(self._backend.get_vocab(with_added_tokens=True).values())

    def check_vocabulary(self, vocab_size: int, file: str) -> None:
        """Refuse a tokenizer whose ids the text encoder, of `file`, has no embedding for."""
        if self.largest_id >= vocab_size:
            problem = f"vocab_size is {vocab_size}, but the tokenizer has the id {self.largest_id}"
            raise CheckpointInvalidError(f"{file}: {problem}", file=file)

    def encode(self, prompts: Sequence[str]) -> TokenizedPrompts:
        """Start, words, end, and padding to `max_length`; what does not fit is cut off and reported."""
        rows, truncated = [], []
        room = self.max_length - 2
        for prompt in prompts:
            words = self._word_ids(prompt)
            ids = [self._special["bos_token"], *words[:room], self._special["eos_token"]]
            rows.append(ids + [self._special["pad_token"]] * (self.max_length - len(ids)))
            truncated.append(self._decode(words[room:]))
        return TokenizedPrompts(np.array(rows, np.int64).reshape(-1, self.max_length), truncated)

    def _word_ids(self, prompt: str) -> list[int]:
        try:
            prompt.encode("utf-8")
        except UnicodeEncodeError as error:
            raise invalid("prompt", f"not Unicode text: {error.reason} at character {error.start}") from error
        encoding = self._backend.encode(prompt, add_special_tokens=False)
        expanded = expand(prompt, encoding.tokens, self._vectors)
        if expanded != prompt:
            encoding = self._backend.encode(expanded, add_special_tokens=False)
        return list(encoding.ids)

    def _decode(self, ids: list[int]) -> str:
        text = self._backend.decode(ids, skip_special_tokens=False) if ids else ""
        return str(text).replace(WORD_END, " ").strip()


def _read(folder: Path, name: str) -> bytes | None:
    file = folder / name
    return read_small(file, folder) if file.exists() else None
