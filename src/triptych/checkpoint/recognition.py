"""What a file really is that has the name of something else, by its first bytes, and what to do about it."""

from __future__ import annotations

ENOUGH_BYTES = 64
_PICKLE = (
    "a pickled file of torch's under another name; as .ckpt, .pt or .bin it is read, without running what is in it"
)
# A zip archive; a pickle of protocol 2 or later; torch's own number in an earlier one.
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"L119547037146038801333356L")
# Each after the bytes that such a file begins with.
_KINDS = {
    b"version https://git-lfs.github.com/spec/": "a Git LFS pointer in place of the file; fetch it: git lfs pull",
    **dict.fromkeys(_PICKLE_STARTS, _PICKLE),
    b"GGUF": "a GGUF file, whose weights are quantized; take the checkpoint as .safetensors",
    b"\x1f\x8b": "compressed with gzip; unpack it",
}
_PAGE = "a web page in place of the file; download the file itself, by the hub's own tool or its download link"
_PAGE_STARTS = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")


def is_pickle(start: bytes) -> bool:
    """Whether the file begins as those that torch writes, old and new."""
    return start.startswith(_PICKLE_STARTS)


def recognized(start: bytes) -> str:
    """What the file is, from its first bytes; "" where they do not tell."""
    for beginning, kind in _KINDS.items():
        if start.startswith(beginning):
            return kind
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGE_STARTS):
        return _PAGE
    return "" if start.strip(b"\0") else "empty, or nothing but zeros; download it again"
