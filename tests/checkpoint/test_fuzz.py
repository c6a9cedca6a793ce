"""Every reader of strangers' files, over files damaged at random: it reads them, or says what is wrong, and soon."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.checkpoint.fuzzing import bounded_memory, damaged
from tests.single_files import save_pair
from tests.tiny import save_tokenizer
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.pickles import as_safetensors
from triptych.checkpoint.safetensors import map_tensor, read_header, read_metadata
from triptych.errors import TriptychError
from triptych.lora import LoraFile
from triptych_orchestrator.text.tokenizer import Tokenizer

SEED = 11
# Of one file, on a machine that has other things to do.
MOST_SECONDS = 20
TENSORS = {
    "model.weight": torch.arange(24.0).reshape(4, 6),
    "model.turned": torch.arange(24.0).reshape(4, 6).T,
    "model.half": torch.ones(5, dtype=torch.bfloat16),
    "ids": torch.arange(77)[None],
}
JUNK = {"epoch": 3, "callbacks": {torch.nn.ReLU: {"a": 1.5}}, "lr": [1e-5, None, True], "text": "ü", "big": 1 << 70}
WHOLE = {name: tensor.contiguous() for name, tensor in TENSORS.items()}
LORA = {f"lora_unet_mid_block_attentions_0_proj_in.lora_{half}.weight": torch.ones(4, 4) for half in ("down", "up")}


def saved(value: object, **options: bool | int) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def packed(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return stream.getvalue()


def pickled_in_place(content: bytes, chance: random.Random) -> bytes:
    """An archive that is sound, and whose pickle is not."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(stream, "w") as target:
        for name in source.namelist():
            part = source.read(name)
            target.writestr(name, damaged(part, chance) if name.endswith("data.pkl") else part)
    return stream.getvalue()


def read_torch(path: Path) -> None:
    """And whatever it was converted to."""
    cache = path.parent / "cache"
    try:
        read_safetensors(as_safetensors(path, cache))
    except TriptychError:
        assert {file.suffix for file in cache.rglob("*") if file.is_file()} <= {".lock"}
        raise
    shutil.rmtree(cache, ignore_errors=True)


def read_safetensors(path: Path) -> None:
    read_metadata(path)
    maps: dict[Path, object] = {}
    for info in read_header(path).values():
        assert map_tensor(info, maps).shape == info.shape  # type: ignore[arg-type]


def read_tokenizer(path: Path) -> None:
    Tokenizer.from_directory(path.parent).encode(["a red star", "ü"])


STATE = {**JUNK, "state_dict": TENSORS}
TORCH = {
    "today's": saved(STATE),
    "old": saved(STATE, _use_new_zipfile_serialization=False),
    "today's of protocol 4": saved(STATE, pickle_protocol=4),
    "packed": packed(saved(STATE)),
}
# As each is called: what it reads, and how.
READERS: Mapping[str, tuple[Mapping[str, bytes], Callable[[Path], None]]] = {
    "x.ckpt": (TORCH, read_torch),
    "x.safetensors": ({"": safetensors.torch.save(WHOLE, {"a": "b"})}, read_safetensors),
    "lora.safetensors": ({"": safetensors.torch.save(LORA, {"a": "b"})}, lambda path: LoraFile.open(path) and None),
}


def survive(path: Path, content: bytes, read: Callable[[Path], object]) -> bool:
    """Whether the file could be read; anything but that and a TriptychError is a failure, as is time without end."""
    path.write_bytes(content)
    begun = time.monotonic()
    try:
        read(path)
    except TriptychError as error:
        assert error.message
        return False
    except BaseException:
        keep = Path(os.environ.get("TRIPTYCH_FUZZ_KEEP", path.parent)) / f"failing-{zlib.crc32(content):08x}"
        keep.write_bytes(content)
        print(f"the file that fails: {keep}")
        raise
    finally:
        assert time.monotonic() - begun < MOST_SECONDS
    return True


def descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def fuzz(folder: Path, reader: str, count: int, seed: int = SEED) -> set[bool]:
    chance = random.Random(f"{reader}{seed}")
    samples, read = READERS[reader]
    outcomes = {survive(folder / reader, content, read) for content in samples.values()}
    assert outcomes == {True}
    before = descriptors()
    with bounded_memory():
        for _ in range(count):
            name = chance.choice([*samples])
            in_place = name.startswith("today's") and chance.random() < 0.5
            made = (pickled_in_place if in_place else damaged)(samples[name], chance)
            outcomes.add(survive(folder / reader, made, read))
    assert descriptors() == before
    return outcomes


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files(tmp_path: Path, reader: str) -> None:
    assert fuzz(tmp_path, reader, 400) == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("reader", READERS)
def test_many_damaged_files(tmp_path: Path, reader: str, seed: int) -> None:
    assert fuzz(tmp_path, reader, 10_000, seed) == {True, False}


def fuzz_tokenizer(folder: Path, count: int, seed: int = SEED) -> None:
    save_tokenizer(folder / "tokenizer")
    (folder / "tokenizer" / "tokenizer.json").write_text(json.dumps(whole_tokenizer(folder / "tokenizer")))
    chance = random.Random(seed)
    files = sorted((folder / "tokenizer").iterdir())
    assert survive(files[0], files[0].read_bytes(), read_tokenizer)
    with bounded_memory():
        for _ in range(count):
            file = chance.choice(files)
            sound = file.read_bytes()
            survive(file, damaged(sound, chance), read_tokenizer)
            file.write_bytes(sound)


def whole_tokenizer(folder: Path) -> object:
    from transformers import CLIPTokenizer

    CLIPTokenizer.from_pretrained(folder).save_pretrained(folder / "whole")
    whole: object = json.loads((folder / "whole" / "tokenizer.json").read_text())
    for file in (folder / "whole").iterdir():
        file.unlink()
    (folder / "whole").rmdir()
    return whole


def test_damaged_tokenizers(tmp_path: Path) -> None:
    fuzz_tokenizer(tmp_path, 150)


@pytest.mark.slow
def test_many_damaged_tokenizers(tmp_path: Path) -> None:
    fuzz_tokenizer(tmp_path, 4000)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A checkpoint as one file, of each kind; its numbers left out, for the names and shapes are what is looked at."""
    file = save_pair(tmp_path_factory.mktemp("single"), "sd1").file
    tensors = safetensors.torch.load_file(file)
    return {".safetensors": file.read_bytes(), ".ckpt": saved({**JUNK, "state_dict": tensors})}


def fuzz_single(folder: Path, sound: bytes, suffix: str, count: int, seed: int = SEED) -> None:
    chance, path = random.Random(f"{suffix}{seed}"), folder / f"x{suffix}"
    assert survive(path, sound, Checkpoint.open)
    with bounded_memory():
        for _ in range(count):
            changed = pickled_in_place if suffix == ".ckpt" and chance.random() < 0.5 else damaged
            survive(path, changed(sound, chance), Checkpoint.open)


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_damaged_single_files(
    tmp_path: Path, single: dict[str, bytes], suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    fuzz_single(tmp_path, single[suffix], suffix, 60)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_many_damaged_single_files(
    tmp_path: Path, single: dict[str, bytes], suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    fuzz_single(tmp_path, single[suffix], suffix, 1500)
