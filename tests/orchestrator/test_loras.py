"""The LoRAs that a server keeps: across restarts, from uploads that end early, under requests that hold them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import stat
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.orchestrator.lora_files import RANK, any_lora
from triptych.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    LoraInvalidError,
    NotFoundError,
    ResourceExhaustedError,
)
from triptych_orchestrator.loras import LoraRegistry

LIMIT_BYTES = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "loras"


@pytest.fixture
def registry(folder: Path) -> LoraRegistry:
    return LoraRegistry(folder, LIMIT_BYTES)


@pytest.fixture
def ink(tmp_path: Path) -> Path:
    return any_lora(tmp_path)


@pytest.fixture
def wash(tmp_path: Path) -> Path:
    return any_lora(tmp_path, "wash", seed=1)


def content(path: Path) -> bytes:
    return path.read_bytes()


def digest(path: Path) -> str:
    return hashlib.sha256(content(path)).hexdigest()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"loras.json"}


def kept(*paths: Path) -> set[str]:
    return {f"{digest(path)}.safetensors" for path in paths}


def names(registry: LoraRegistry) -> list[str]:
    return [lora.name for lora in registry.entries()]


async def in_chunks(data: bytes, size_bytes: int = 100) -> AsyncGenerator[bytes, None]:
    for begin in range(0, len(data), size_bytes):
        await asyncio.sleep(0)
        yield data[begin : begin + size_bytes]


async def test_a_lora_is_kept_across_restarts(registry: LoraRegistry, folder: Path, ink: Path, wash: Path) -> None:
    added = await registry.add("wash", in_chunks(content(wash)))
    await registry.add("ink (v2)", ink)
    assert (added.digest, added.size_bytes, added.file.rank) == (digest(wash), len(content(wash)), RANK)
    assert content(added.path) == content(wash) and added.path.is_absolute()
    assert stat.S_IMODE(added.path.stat().st_mode) == 0o444
    again = LoraRegistry(folder, LIMIT_BYTES)
    assert names(registry) == names(again) == ["ink (v2)", "wash"]
    assert again.get("wash") == added
    assert files(folder) == kept(ink, wash)


async def test_the_same_again_is_no_error_and_another_is(
    registry: LoraRegistry, folder: Path, ink: Path, wash: Path
) -> None:
    first = await registry.add("ink", ink)
    assert await registry.add("ink", ink) is first
    with pytest.raises(AlreadyExistsError, match="'ink' is another file's"):
        await registry.add("ink", wash)
    assert files(folder) == kept(ink)
    replaced = await registry.add("ink", wash, replace=True)
    assert registry.get("ink") is replaced
    assert files(folder) == kept(wash)


async def test_a_file_goes_with_its_last_name(registry: LoraRegistry, folder: Path, ink: Path) -> None:
    await registry.add("a", ink)
    await registry.add("b", ink)
    registry.remove("a")
    assert files(folder) == kept(ink) and names(registry) == ["b"]
    registry.remove("b")
    assert files(folder) == set()
    with pytest.raises(NotFoundError, match="'b' is not known; there are: none"):
        registry.remove("b")
    await registry.add("b", ink)
    with pytest.raises(NotFoundError, match="'a' is not known; there are: b") as caught:
        registry.get("a")
    assert caught.value.metadata["field"] == "loras"


async def test_what_is_held_stays_until_the_last_release(
    registry: LoraRegistry, folder: Path, ink: Path, wash: Path
) -> None:
    lora = await registry.add("ink", ink)
    with registry.hold(lora):
        with registry.hold(lora):
            registry.remove("ink")
        assert files(folder) == kept(ink) and names(registry) == []
        await registry.add("ink", wash)  # the name is free at once
    assert files(folder) == kept(wash)
    with registry.hold(registry.get("ink")):
        await registry.add("ink", ink, replace=True)
        await registry.add("again", wash)
    assert files(folder) == kept(ink, wash)  # a name came back meanwhile


@pytest.mark.parametrize("name", ["", " ink", ".ink", "a:b", "a/b", "<a", "a>", "a\n", "a=b", "x" * 129])
async def test_names_that_are_none(registry: LoraRegistry, folder: Path, ink: Path, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^name: ") as caught:
        await registry.add(name, ink)
    assert caught.value.metadata["field"] == "name"
    assert files(folder) == set()


@pytest.mark.parametrize("name", ["(ink)", "-", "_x", "水墨 v1.0", "x" * 128])
async def test_names_as_files_bear_them(registry: LoraRegistry, folder: Path, ink: Path, name: str) -> None:
    await registry.add(name, ink)
    assert names(LoraRegistry(folder, LIMIT_BYTES)) == [name]


async def test_what_cannot_be_taken_leaves_nothing(
    registry: LoraRegistry, folder: Path, ink: Path, tmp_path: Path
) -> None:
    with pytest.raises(ResourceExhaustedError, match=f"max_lora_bytes, {LIMIT_BYTES}"):
        await registry.add("large", in_chunks(bytes(LIMIT_BYTES + 1), 1 << 16))
    with pytest.raises(LoraInvalidError, match=r"^ink: ") as caught:  # and not the path, which its sender never saw
        await registry.add("ink", in_chunks(content(ink)[:-1]))
    assert str(folder) not in caught.value.message and caught.value.metadata["file"] == "ink"
    with pytest.raises(LoraInvalidError):
        await registry.add("empty", in_chunks(b""))
    with pytest.raises(InvalidArgumentError, match="cannot be read: No such file"):
        await registry.add("gone", tmp_path / "nothing")
    assert files(folder) == set() and names(registry) == []


async def test_an_upload_that_is_left_leaves_nothing(registry: LoraRegistry, folder: Path, ink: Path) -> None:
    waiting = asyncio.Event()

    async def half() -> AsyncGenerator[bytes, None]:
        yield content(ink)[:100]
        waiting.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(registry.add("ink", half()))
    await waiting.wait()
    assert len(files(folder)) == 1
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert files(folder) == set() and names(registry) == []


async def test_uploads_at_once(registry: LoraRegistry, folder: Path, ink: Path, wash: Path) -> None:
    same = [registry.add("ink", in_chunks(content(ink))) for _ in range(4)]
    others = [registry.add(f"ink {number}", in_chunks(content(ink))) for number in range(4)]
    rival = registry.add("ink", in_chunks(content(wash), 10))  # the slowest
    *taken, refused = await asyncio.gather(*same, *others, rival, return_exceptions=True)
    assert {lora.digest for lora in taken if not isinstance(lora, BaseException)} == {digest(ink)}
    assert isinstance(refused, AlreadyExistsError)
    assert names(LoraRegistry(folder, LIMIT_BYTES)) == ["ink", *(f"ink {number}" for number in range(4))]
    assert files(folder) == kept(ink)


async def test_leftovers_are_swept_and_what_is_lost_is_forgotten(
    registry: LoraRegistry, folder: Path, ink: Path, wash: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, path in (("ink", ink), ("wash", wash), ("gone", any_lora(ink.parent, "gone", seed=2))):
        await registry.add(name, path)
    registry.get("gone").path.unlink()
    (folder / f"{'0' * 64}.safetensors").touch()
    (folder / "begun.part").touch()
    (folder / "mine.safetensors").touch()
    broken = registry.get("wash").path
    broken.chmod(0o644)
    broken.write_bytes(b"broken")
    with caplog.at_level(logging.ERROR):
        again = LoraRegistry(folder, LIMIT_BYTES)
    assert names(again) == ["ink"]
    assert files(folder) == {*kept(ink), broken.name, "mine.safetensors"}
    assert {record.lora for record in caplog.records} == {"gone", "wash"}  # type: ignore[attr-defined]
    await again.add("wash", wash)  # mends it
    assert names(LoraRegistry(folder, LIMIT_BYTES)) == ["ink", "wash"]


@pytest.mark.parametrize("text", ["[]", "{", '{"ink": 7}', '{"ink": "../../x"}', '{"a/b": "' + "0" * 64 + '"}'])
def test_a_broken_index_is_said_with_its_remedy(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "loras.json").write_text(text)
    with pytest.raises(FailedPreconditionError, match=r"loras\.json cannot be read .*move it away"):
        LoraRegistry(folder, LIMIT_BYTES)


async def test_an_index_that_cannot_be_written_changes_nothing(
    registry: LoraRegistry, folder: Path, ink: Path, wash: Path
) -> None:
    await registry.add("ink", ink)
    (folder / "loras.new").mkdir()
    with pytest.raises(FailedPreconditionError, match="cannot be written"):
        await registry.add("wash", wash)
    with pytest.raises(FailedPreconditionError, match="cannot be written"):
        registry.remove("ink")
    (folder / "loras.new").rmdir()
    assert names(registry) == ["ink"] and files(folder) == kept(ink)
    assert json.loads((folder / "loras.json").read_text()) == {"ink": digest(ink)}
