"""Archives that lie: cut short, overlapping, unpacking to more than any disk has; each refused by what is wrong."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoint.pickles.test_hostile_pickles import refusal
from tests.checkpoint.pickles.writing import NUMBERS, SOUND, as_legacy, as_zip, program, storage, tensor
from triptych.checkpoint.pickles import as_safetensors
from triptych.checkpoint.safetensors import map_tensor, read_header

END = struct.Struct("<4s4H2LH")
SOUND_PROGRAM = program(**SOUND)


def sound(path: Path) -> Path:
    return as_zip(path, SOUND_PROGRAM, {"0": NUMBERS})


def changed(path: Path, at: int, value: bytes) -> Path:
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(content)
    return path


def directory_at(path: Path) -> int:
    content = path.read_bytes()
    return int(END.unpack_from(content, content.rindex(b"PK\5\6"))[6])


def listed(path: Path, name: str) -> int:
    """Where the list of files has an entry of that name."""
    content = path.read_bytes()
    return content.index(name.encode(), directory_at(path)) - 46


def test_a_sound_one(tmp_path: Path) -> None:
    header = read_header(as_safetensors(sound(tmp_path / "x.ckpt"), tmp_path))
    assert np.array_equal(map_tensor(header["a"], {}), [1, 2, 3, 4])


@pytest.mark.parametrize("write", [as_zip, as_legacy])
def test_cut_short_anywhere(tmp_path: Path, write: object) -> None:
    assert callable(write)
    content = write(tmp_path / "x.ckpt", SOUND_PROGRAM, {"0": NUMBERS}).read_bytes()
    said = set()
    for length in {*range(7, len(content), 7), len(content) - 1}:
        (tmp_path / "x.ckpt").write_bytes(content[:length])
        said.add(refusal(tmp_path / "x.ckpt", tmp_path / "cache"))
    assert any("download it again" in message or "complete" in message for message in said)


def test_two_files_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning):
        for content in (b"\x80\x02N.", SOUND_PROGRAM):
            archive.writestr("archive/data.pkl", content)
    assert "twice" in refusal(path, tmp_path / "cache")


def test_two_pickles(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", SOUND_PROGRAM)
        archive.writestr("b/data.pkl", SOUND_PROGRAM)
    assert "none that torch wrote" in refusal(path, tmp_path / "cache")


@pytest.mark.parametrize("name", ["/etc/passwd", "archive/../../x", "..", "\\x", "archive/a\0b"])
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.ckpt"
    stand_in = "y" * len(name)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(stand_in, b"")
        archive.writestr("archive/data.pkl", SOUND_PROGRAM)
        archive.writestr("archive/data/0", NUMBERS)
    path.write_bytes(path.read_bytes().replace(stand_in.encode(), name.encode()))
    assert "outside" in refusal(path, tmp_path / "cache")


def test_a_file_that_overlaps_another(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("archive/data/1", NUMBERS)
    # The storage's bytes hold another's header and bytes, which the list of files then points at.
    both = program(a=tensor(storage("0", 64)), b=tensor(storage("1")))
    held = inner.getvalue()[: 30 + len("archive/data/1") + len(NUMBERS)].ljust(256, b"\0")
    as_zip(path, both, {"0": held, "1": NUMBERS})
    within = path.read_bytes().index(held)
    changed(path, listed(path, "archive/data/1") + 42, struct.pack("<L", within))
    assert "overlaps" in refusal(path, tmp_path / "cache")


LIES = {
    "a size": (24, struct.pack("<L", 8), "two sizes"),
    "both sizes": (20, struct.pack("<2L", 8, 8), "16 bytes, and its archive has 8"),
    "a huge size": (20, struct.pack("<2L", 1 << 31, 1 << 31), "cut short"),
    "a size elsewhere": (20, struct.pack("<2L", 0xFFFFFFFF, 0xFFFFFFFF), "how large"),
    "a place beyond": (42, struct.pack("<L", 1 << 31), "beyond itself"),
    "a place in the list": (42, struct.pack("<L", 500), ""),
    "another place": (42, struct.pack("<L", 0), "do not agree"),
    "a method": (10, struct.pack("<H", 14), "method 14"),
    "a key": (8, struct.pack("<H", 1), "encrypted"),
    "a name's length": (28, struct.pack("<H", 60_000), "damaged"),
    "no name": (0, b"PK\0\0", "damaged"),
}


@pytest.mark.parametrize("case", LIES)
def test_a_list_of_files_that_lies(tmp_path: Path, case: str) -> None:
    offset, value, said = LIES[case]
    path = sound(tmp_path / "x.ckpt")
    changed(path, listed(path, "archive/data/0") + offset, value)
    assert said in refusal(path, tmp_path / "cache")


ENDS = {
    "more files than there are": (8, struct.pack("<2H", 900, 900)),
    "several disks": (4, struct.pack("<H", 1)),
    "a list beyond": (16, struct.pack("<L", 1 << 30)),
    "a list of gigabytes": (12, struct.pack("<L", 1 << 30)),
    "that it is large": (12, struct.pack("<2L", 0xFFFFFFFF, 0xFFFFFFFF)),
}


@pytest.mark.parametrize("case", ENDS)
def test_an_end_that_lies(tmp_path: Path, case: str) -> None:
    offset, value = ENDS[case]
    path = sound(tmp_path / "x.ckpt")
    refusal(changed(path, path.read_bytes().rindex(b"PK\5\6") + offset, value), tmp_path / "cache")


def test_a_zip_bomb(tmp_path: Path) -> None:
    """A quarter of a gigabyte of zeros in a megabyte, of which one tensor looks at four numbers."""
    path = tmp_path / "x.ckpt"
    count = 1 << 26
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", program(a=tensor(storage(count=count))))
        with archive.open("archive/data/0", "w") as entry:
            for _ in range(count * 4 >> 24):
                entry.write(b"\0" * (1 << 24))
    assert path.stat().st_size < 8 << 20
    assert "unpack to" in refusal(path, tmp_path / "cache")


@pytest.mark.parametrize("size", [0, 8, 32])
def test_a_packed_file_that_says_another_size(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", program(a=tensor(storage(count=size // 4), (size // 4,))))
        archive.writestr("archive/data/0", NUMBERS)
    changed(path, listed(path, "archive/data/0") + 24, struct.pack("<L", size))
    if size < len(NUMBERS):  # a part of what is there is what it says
        assert read_header(as_safetensors(path, tmp_path / "cache"))["a"].shape == (size // 4,)
    else:
        assert "less than it says" in refusal(path, tmp_path / "cache")


def test_packed_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", SOUND_PROGRAM)
        archive.writestr("archive/data/0", NUMBERS)
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("archive/data/0").header_offset + 30 + len("archive/data/0")
    assert "cannot be unpacked" in refusal(changed(path, at, b"\xff" * 6), tmp_path / "cache")


def test_a_pickle_too_large(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (33 << 20))
    assert "larger than" in refusal(path, tmp_path / "cache")


@pytest.mark.parametrize("order", [b"middle", b"x" * 100])
def test_a_byte_order_that_nobody_has(tmp_path: Path, order: bytes) -> None:
    refusal(as_zip(tmp_path / "x.ckpt", SOUND_PROGRAM, {"0": NUMBERS}, byteorder=order), tmp_path / "cache")


def test_lengths_of_old_storages_that_lie(tmp_path: Path) -> None:
    path = as_legacy(tmp_path / "x.ckpt", SOUND_PROGRAM, {"0": NUMBERS})
    for count in (0, 3, 5, 1 << 62, (1 << 64) - 1):
        changed(path, path.stat().st_size - 24, struct.pack("<Q", count))
        assert "two lengths" in refusal(path, tmp_path / "cache")


def test_old_storages_that_are_listed_wrongly(tmp_path: Path) -> None:
    for held in ({}, {"1": NUMBERS}, {"0": NUMBERS, "1": NUMBERS}):
        refusal(as_legacy(tmp_path / "x.ckpt", SOUND_PROGRAM, held), tmp_path / "cache")
