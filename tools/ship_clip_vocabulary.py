"""Writes the CLIP vocabulary that the package ships, from the wheel of open_clip_torch.

pip download --no-deps open_clip_torch
python tools/ship_clip_vocabulary.py open_clip_torch-*.whl
"""

from __future__ import annotations

import gzip
import sys
import zipfile
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "src/triptych/checkpoint/sources/clip_vocabulary"
# The vocabulary's 49,408 tokens without two for each byte and two that are special: no other merge is used.
MERGES = 49_408 - 2 * 256 - 2


def main(wheel: Path) -> None:
    """Cuts the list down to the merges that CLIP uses, and keeps the licence beside it."""
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read("open_clip/bpe_simple_vocab_16e6.txt.gz")).decode()
        licence = next(name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
        (TARGET / "LICENSE.open_clip").write_bytes(archive.read(licence))
    _, *merges = text.splitlines()[: MERGES + 1]
    content = "\n".join(["#version: 0.2", *merges, ""]).encode()
    (TARGET / "merges.txt.gz").write_bytes(gzip.compress(content, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
