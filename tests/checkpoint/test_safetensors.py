"""Weight files from strangers: every header either opens or is a CheckpointInvalidError that names the file."""

from __future__ import annotations

import json
import os
import random
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from triptych.checkpoint.safetensors import map_tensor, read_header, read_metadata
from triptych.errors import CheckpointInvalidError

TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([[1.5]], np.float16),
    "empty": np.zeros((0, 4), np.float32),
    "scalar": np.array(7, np.int64),
}


def write(path: Path, header: object, data: bytes = b"\0" * 64, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_tensors_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file(TENSORS, path, {"format": "pt"})
    header = read_header(path)
    assert header.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert np.array_equal(map_tensor(header[name], {}), tensor)
        assert header[name].size_bytes == tensor.nbytes


def test_bfloat16_and_unaligned_tensors(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5], np.float32)
    data = b"\0" + (values.view("<u4") >> 16).astype("<u2").tobytes() + values.tobytes()
    path = write(tmp_path / "x", {"h": entry(1, 5, [2], "BF16"), "f": entry(5, 13, [2])}, data)
    header = read_header(path)
    for name in "hf":
        read = map_tensor(header[name], {})
        assert np.array_equal(read, values) and read.flags.aligned


def test_views_of_a_tensor_are_its_own_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    fused = np.arange(24, dtype=np.float32).reshape(6, 4)
    safetensors.numpy.save_file({"fused": fused}, path)
    maps: dict[Path, Any] = {}
    whole = read_header(path)["fused"]
    views = {
        "rows": (whole.rows(2, 4), fused[2:4]),
        "convolution": (whole.reshaped(6, 4, 1, 1), fused.reshape(6, 4, 1, 1)),
        "transposed": (whole.turned(), fused.T),
        "rows of the transposed": (whole.rows(0, 3).turned(), fused[:3].T),
    }
    file = np.frombuffer(map_tensor(whole, maps).base, np.uint8)
    for what, (view, expected) in views.items():
        read = map_tensor(view, maps)
        assert np.array_equal(read, expected) and view.shape == read.shape, what
        assert np.shares_memory(read, file), what


BROKEN: dict[str, Any] = {
    "empty list": [],
    "no object": {"a": 1},
    "no dtype": {"a": {"shape": [1], "data_offsets": [0, 4]}},
    "a dtype that is none": {"a": entry(0, 4, [1], "f32")},
    "unknown dtype, ends before it begins": {"a": entry(4, 0, [1], "F3")},
    "unknown dtype, beyond the file": {"a": entry(0, 4000, [1], "F3")},
    "unhashable dtype": {"a": {"dtype": [], "shape": [1], "data_offsets": [0, 4]}},
    "negative offset": {"a": entry(-4, 0, [1])},
    "outside of the file": {"a": entry(64, 68, [1])},
    "wrong size": {"a": entry(0, 8, [1])},
    "backwards": {"a": entry(8, 4, [1])},
    "float shape": {"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}},
    "boolean shape": {"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}},
    "text shape": {"a": {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]}},
    "three offsets": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}},
    "overflowing shape": {"a": entry(0, 0, [2**40, 2**40, 2**48])},
    "huge numbers": {"a": entry(0, 4, [10**4000] * 100)},
    "many dimensions": {"a": entry(0, 4, [1] * 100_000)},
    "overlap": {"a": entry(0, 8, [2]), "b": entry(4, 12, [2])},
    "overlap behind an empty one": {"a": entry(0, 32, [8]), "e": entry(8, 8, [0]), "b": entry(16, 24, [2])},
    "overlap in full": {"a": entry(0, 8, [2]), "b": entry(0, 8, [2])},
}


@pytest.mark.parametrize("header", BROKEN.values(), ids=BROKEN)
def test_a_wrong_header_is_refused(tmp_path: Path, header: object) -> None:
    path = write(tmp_path / "x.safetensors", header)
    with pytest.raises(CheckpointInvalidError) as caught:
        read_header(path)
    assert caught.value.metadata["file"] == str(path) and str(path) in caught.value.message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"\0" * 8,
        b"\xff" * 8 + b"{}",
        (2**63).to_bytes(8, "little") + b"{}",
        (100).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"\xff\xfe\xfd\xfc",
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
        (600_000).to_bytes(8, "little") + b'{"a":' * 120_000,
        (5_005).to_bytes(8, "little") + b'{"a":' + b"9" * 5_000,
    ],
)
def test_no_header_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointInvalidError):
        read_header(path)


def test_a_huge_header_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as stream:
        stream.write((90_000_000).to_bytes(8, "little"))
        stream.truncate(100_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointInvalidError):
        read_header(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(CheckpointInvalidError):
            read_header(path)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled or put in; mostly in the header."""
    made = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(min(len(made), 400) if chance.random() < 0.9 else len(made))
        match chance.randrange(5):
            case 0:
                made[at] = chance.randrange(256)
            case 1:
                del made[at : at + chance.randint(1, 30)]
            case 2:
                made[at:at] = made[at : at + chance.randint(1, 30)]
            case 3:
                made[at : at + 1] = chance.choice([b"9", b"-", b"[", b"{", b'"', b"0", b"1e9", b"null", b"NaN"])
            case 4:
                length = chance.choice([chance.randrange(2**64), len(made), len(made) - 8, 0, 1])
                made[:8] = length.to_bytes(8, "little")
        if len(made) < 10:
            break
    return bytes(made)


@pytest.mark.parametrize("seed", range(10))
def test_mutations_open_or_are_refused(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / "x.safetensors"
    sound = safetensors.numpy.save(TENSORS, {"format": "pt"})
    for _ in range(100):
        path.write_bytes(mutated(sound, chance))
        try:
            header = read_header(path)
        except CheckpointInvalidError as error:
            assert error.metadata["file"] == str(path)
            continue
        size = path.stat().st_size
        for info in header.values():
            assert 0 <= info.offset_bytes <= info.offset_bytes + info.size_bytes <= size
            if info.dtype != "BOOL":
                assert map_tensor(info, {}).shape == info.shape


def test_metadata_is_read_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file(TENSORS, path, {"made": "here"})
    assert read_metadata(path) == {"made": "here"}
    safetensors.numpy.save_file(TENSORS, path)
    assert read_metadata(path) == {}


@pytest.mark.parametrize("metadata", [[1], {"a": 1}, "text", 7])
def test_metadata_that_is_no_texts(tmp_path: Path, metadata: object) -> None:
    path = write(tmp_path / "x.safetensors", {"__metadata__": metadata})
    with pytest.raises(CheckpointInvalidError) as caught:
        read_metadata(path)
    assert caught.value.metadata["file"] == str(path)


HALF = "\ud800"


@pytest.mark.parametrize(
    "header",
    [
        {HALF: entry(0, 4, [1])},
        {"a": entry(0, 4, [1], HALF)},
        {"__metadata__": {HALF: "x"}, "a": entry(0, 4, [1])},
        {"__metadata__": {"x": f"a{HALF}b"}, "a": entry(0, 4, [1])},
        b'{"\xed\xa0\x80": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
    ],
)
def test_halves_of_characters_are_no_text(tmp_path: Path, header: object) -> None:
    path = write(tmp_path / "x.safetensors", header)
    for read in (read_header, read_metadata):
        with pytest.raises(CheckpointInvalidError, match=r"not Unicode|codec can't decode") as caught:
            read(path)
        caught.value.message.encode()


def test_an_absurd_dtype_makes_a_short_message(tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalidError) as caught:
        read_header(write(tmp_path / "x.safetensors", {"a": entry(0, 4, [1], "F" * 1_000_000)}))
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize("dtype", ["U16", "U32", "U64"])
def test_unsigned_numbers_are_read(tmp_path: Path, dtype: str) -> None:
    values = np.array([1, 65535], f"<u{int(dtype[1:]) // 8}")
    path = write(tmp_path / "x", {"a": entry(0, values.nbytes, [2], dtype)}, values.tobytes())
    assert np.array_equal(map_tensor(read_header(path)["a"], {}), values)


def test_a_tensor_of_a_type_that_came_later_spoils_no_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", {"a": entry(0, 8, [2]), "b": entry(8, 11, [6], "F4")})
    header = read_header(path)
    assert np.array_equal(map_tensor(header["a"], {}), np.zeros(2)) and header["b"].is_aligned
    with pytest.raises(CheckpointInvalidError, match="dtype F4 cannot be read"):
        map_tensor(header["b"], {})
