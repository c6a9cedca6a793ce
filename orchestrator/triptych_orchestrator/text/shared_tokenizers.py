"""Checkpoints with the same tokenizer share one: nearly all have CLIP's, which takes a tenth of a second and 20 MB."""

from __future__ import annotations

import hashlib
import weakref

from triptych.errors import TriptychError
from triptych_orchestrator.text.tokenizer import Tokenizer
from triptych_orchestrator.text.tokenizer_files import NAMES, Read, TokenizerFiles

_tokenizers: weakref.WeakValueDictionary[bytes, Tokenizer] = weakref.WeakValueDictionary()


def shared_tokenizer(folder: str, read: Read) -> Tokenizer:
    """`Tokenizer.of` those files, or the one that was made of the same content and is still in use."""
    digest = _digest(read)
    if digest is None or (tokenizer := _tokenizers.get(digest)) is None:
        tokenizer = Tokenizer.of(TokenizerFiles(folder, read))
        if digest is not None:
            _tokenizers[digest] = tokenizer
    return tokenizer


def _digest(read: Read) -> bytes | None:
    """Of all files; None where one cannot be read, which need not be one that counts."""
    digest = hashlib.sha256()
    for name in NAMES:
        try:
            content = read(name)
        except (OSError, TriptychError):
            return None
        digest.update(b"-" if content is None else len(content).to_bytes(8, "little") + content)
    return digest.digest()
