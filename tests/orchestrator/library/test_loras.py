"""The LoRAs that a server keeps: across restarts, from uploads that end early, under requests that hold them."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import logging
import stat
import threading
import tracemalloc
import zipfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.checkpoint.pickles.writing import as_zip, call, named, program, storage, tensor, text
from tests.orchestrator.lora_files import RANK, any_lora, save_lora
from triptych.checkpoint.pickles import convert
from triptych.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    LoraBrokenError,
    LoraInvalidError,
    NotFoundError,
    ResourceExhaustedError,
)
from triptych_orchestrator.library.loras import upload
from triptych_orchestrator.library.loras.registry import Lora, LoraRegistry
from triptych_orchestrator.settings import Limits

LIMIT_BYTES = 1 << 20
LIMITS = Limits(max_lora_bytes=LIMIT_BYTES, max_lora_uploads=10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "loras"


@pytest.fixture
def registry(folder: Path) -> LoraRegistry:
    return LoraRegistry(folder, LIMITS)


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


def problems(registry: LoraRegistry) -> dict[str, str]:
    return {lora.name: registry.problem(lora) for lora in registry.entries()}


def names(registry: LoraRegistry) -> list[str]:
    return [lora.name for lora in registry.entries()]


def pickled(path: Path, lora: Path, **options: bool) -> Path:
    """The LoRA as torch saves it."""
    torch.save(load_file(lora), path, **options)  # type: ignore[arg-type]
    return path


async def in_chunks(data: bytes, size_bytes: int = 100) -> AsyncGenerator[bytes, None]:
    for begin in range(0, len(data), size_bytes):
        await asyncio.sleep(0)
        yield data[begin : begin + size_bytes]


@pytest.mark.parametrize("is_zip", [True, False])
async def test_a_torch_file_is_kept_as_safetensors(
    registry: LoraRegistry, folder: Path, tmp_path: Path, ink: Path, is_zip: bool
) -> None:
    sent = pickled(tmp_path / "ink.pt", ink, _use_new_zipfile_serialization=is_zip)
    added = await registry.add("ink", sent)
    kept_tensors, tensors = load_file(added.path), load_file(ink)
    assert kept_tensors.keys() == tensors.keys()
    assert all(torch.equal(kept_tensors[name], tensors[name]) for name in tensors)
    assert added.digest == digest(added.path) and added.size_bytes == len(content(added.path))
    assert await registry.add("ink", sent) == added and files(folder) == {added.path.name}
    await registry.verify(added)


async def test_a_torch_file_that_wants_more_than_tensors_is_refused_by_the_loras_name(
    registry: LoraRegistry, folder: Path, tmp_path: Path
) -> None:
    hostile = as_zip(tmp_path / "x.pt", b"\x80\x02" + call(named("posix", "system"), text("true")) + b".")
    with pytest.raises(LoraInvalidError, match=r"^ink: asks for posix\.system, as an attack does") as caught:
        await registry.add("ink", hostile)
    assert caught.value.metadata["file"] == "ink" and not files(folder) and not registry.entries()
    with pytest.raises(LoraInvalidError, match=r"^ink: .*cut short"):
        await registry.add("ink", in_chunks(hostile.read_bytes()[:-30]))
    assert not files(folder)


async def test_a_torch_file_may_not_unpack_to_more_than_a_lora_may_have(
    registry: LoraRegistry, folder: Path, tmp_path: Path
) -> None:
    count = LIMIT_BYTES  # of four bytes each
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", program(a=tensor(storage(count=count), (count,))))
        archive.writestr("archive/data/0", b"\0" * count * 4)
    with pytest.raises(ResourceExhaustedError, match="max_lora_bytes"):
        await registry.add("x", path)
    assert not files(folder)


async def test_a_lora_is_kept_across_restarts(registry: LoraRegistry, folder: Path, ink: Path, wash: Path) -> None:
    added = await registry.add("wash", in_chunks(content(wash)))
    await registry.add("ink (v2)", ink)
    assert (added.digest, added.size_bytes, added.facts.rank) == (digest(wash), len(content(wash)), RANK)
    assert content(added.path) == content(wash) and added.path.is_absolute()
    assert stat.S_IMODE(added.path.stat().st_mode) == 0o444
    again = LoraRegistry(folder, LIMITS)
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
    assert names(LoraRegistry(folder, LIMITS)) == [name]


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

    adding = asyncio.create_task(registry.add("ink", half()))
    await waiting.wait()
    assert len(files(folder)) == 1
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert files(folder) == set() and names(registry) == []


async def test_a_torch_file_that_is_left_while_it_is_converted_leaves_nothing(
    folder: Path, tmp_path: Path, ink: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place and its bytes are taken until the thread, which cannot be ended, has ended."""
    sent = pickled(tmp_path / "ink.pt", ink)
    size_bytes = len(content(sent))
    limits = Limits(max_lora_bytes=LIMIT_BYTES, max_lora_uploads=1, max_kept_lora_bytes=size_bytes)
    registry = LoraRegistry(folder, limits)
    begun, go = threading.Event(), threading.Event()

    def held(source: Path, target: Path) -> bool:
        begun.set()
        go.wait(60)
        return convert(source, target)

    monkeypatch.setattr(upload, "convert", held)
    adding = asyncio.create_task(registry.add("ink", sent))
    await asyncio.to_thread(begun.wait)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    try:
        with pytest.raises(ResourceExhaustedError, match="max_lora_uploads"):
            await registry.add("ink", sent)
    finally:
        go.set()
    if left := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(left)
    assert not files(folder)
    await registry.add("ink", sent)
    assert names(registry) == ["ink"]


async def test_uploads_at_once(registry: LoraRegistry, folder: Path, ink: Path, wash: Path) -> None:
    same = [registry.add("ink", in_chunks(content(ink))) for _ in range(4)]
    others = [registry.add(f"ink {number}", in_chunks(content(ink))) for number in range(4)]
    rival = registry.add("ink", in_chunks(content(wash), 10))  # the slowest
    *taken, refused = await asyncio.gather(*same, *others, rival, return_exceptions=True)
    assert {lora.digest for lora in taken if not isinstance(lora, BaseException)} == {digest(ink)}
    assert isinstance(refused, AlreadyExistsError)
    assert names(LoraRegistry(folder, LIMITS)) == ["ink", *(f"ink {number}" for number in range(4))]
    assert files(folder) == kept(ink)


async def test_leftovers_are_swept_and_what_is_lost_stays_known(
    registry: LoraRegistry, folder: Path, ink: Path, wash: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, path in (("ink", ink), ("wash", wash), ("gone", any_lora(ink.parent, "gone", seed=2))):
        await registry.add(name, path)
    registry.get("gone").path.unlink()
    (folder / f"{'0' * 64}.safetensors").touch()
    (folder / "begun.part").touch()
    (folder / "mine.safetensors").touch()
    (folder / f"{'1' * 64}.safetensors").symlink_to(folder / "nowhere")
    broken = registry.get("wash").path
    broken.chmod(0o644)
    broken.write_bytes(b"broken")
    with caplog.at_level(logging.ERROR):
        again = LoraRegistry(folder, LIMITS)
    assert problems(again) == {
        "gone": "its file is gone",
        "ink": "",
        "wash": "its file is no LoRA that can be read any more",
    }
    assert files(folder) == {*kept(ink), broken.name, "mine.safetensors", f"{'1' * 64}.safetensors"}
    assert {record.lora for record in caplog.records} == {"gone", "wash"}  # type: ignore[attr-defined]
    assert await again.add("wash", wash) == registry.get("wash")  # mends it
    again.remove("gone")
    assert problems(again) == problems(LoraRegistry(folder, LIMITS)) == {"ink": "", "wash": ""}


async def test_what_is_done_to_a_file_while_it_is_served(
    registry: LoraRegistry, folder: Path, ink: Path, wash: Path
) -> None:
    for name, path in (("ink", ink), ("same", ink), ("wash", wash)):
        await registry.add(name, path)
    lora = registry.get("ink")
    lora.path.unlink()
    assert problems(registry) == {"ink": "its file is gone", "same": "its file is gone", "wash": ""}
    with pytest.raises(
        LoraBrokenError, match=r"^loras: 'ink' cannot be used, its file is gone; add it again"
    ) as caught:
        await registry.verify(lora)
    assert caught.value.metadata == {"field": "loras", "lora": "ink"} and str(folder) not in caught.value.message
    lora.path.write_bytes(content(wash))  # as large, and a LoRA too
    assert problems(registry)["ink"] == ""  # at a glance
    with pytest.raises(LoraBrokenError, match="its file was changed"):
        await registry.verify(lora)
    assert problems(registry) == {"ink": "its file was changed", "same": "its file was changed", "wash": ""}
    await registry.verify(registry.get("wash"))
    assert await registry.add("another", ink)
    assert set(problems(registry).values()) == {""}
    await registry.verify(lora)
    assert content(lora.path) == content(ink)


@pytest.mark.parametrize("text", ["[]", "{", '{"ink": 7}', '{"ink": "../../x"}', '{"a/b": "' + "0" * 64 + '"}'])
async def test_a_broken_index_costs_names_and_no_files(
    registry: LoraRegistry, folder: Path, ink: Path, wash: Path, text: str
) -> None:
    await registry.add("ink", ink)
    index = (folder / "loras.json").read_text()
    (folder / "loras.json").write_text(text)
    again = LoraRegistry(folder, LIMITS)
    assert names(again) == []
    await again.add("wash", wash)
    # Nor at a later start.
    assert names(LoraRegistry(folder, LIMITS)) == ["wash"]
    aside = folder / "loras.json.broken-1"
    assert aside.read_text() == text and files(folder) - {aside.name} == kept(ink, wash)
    aside.unlink()
    (folder / "loras.json").write_text(index)
    assert names(LoraRegistry(folder, LIMITS)) == ["ink"] and files(folder) == kept(ink)


async def test_uploads_names_and_bytes_have_limits(folder: Path, ink: Path, wash: Path) -> None:
    room_bytes = 2 * len(content(ink)) + len(content(wash)) + 100
    registry = LoraRegistry(folder, Limits(max_lora_uploads=2, max_kept_loras=3, max_kept_lora_bytes=room_bytes))
    begun, more = asyncio.Semaphore(0), asyncio.Event()

    async def slowly() -> AsyncGenerator[bytes, None]:
        yield content(ink)[:150]
        begun.release()
        await more.wait()
        yield content(ink)[150:]

    uploads = [asyncio.create_task(registry.add(name, slowly())) for name in ("a", "b")]
    for _ in uploads:
        await begun.acquire()
    with pytest.raises(ResourceExhaustedError, match=r"2 uploads at once .* max_lora_uploads") as caught:
        await registry.add("c", ink)
    assert caught.value.metadata["retry_after_seconds"]
    more.set()
    outcomes = await asyncio.gather(*uploads, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Lora, Lora]
    with pytest.raises(ResourceExhaustedError, match=f"max_kept_lora_bytes, {room_bytes}, of LoRAs; remove one first"):
        await registry.add("c", in_chunks(content(wash) + bytes(room_bytes - len(content(wash)))))
    await registry.add("c", wash)
    for name in ("a", "b"):
        registry.remove(name)
    assert files(folder) == kept(wash)
    for name in ("a", "b"):
        await registry.add(name, ink)  # there is room again
    with pytest.raises(ResourceExhaustedError, match="3 LoRAs are all that max_kept_loras allows; remove one first"):
        await registry.add("d", ink)
    await registry.add("a", wash, replace=True)
    assert problems(LoraRegistry(folder, Limits(max_kept_loras=1))).keys() == {"a", "b", "c"}


async def test_a_name_keeps_next_to_nothing_in_memory(registry: LoraRegistry, tmp_path: Path) -> None:
    large = save_lora(tmp_path / "large.safetensors", {f"lora_unet_{number}": (1, 1) for number in range(500)})
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(3):
            await registry.add(f"large {number}", large)
        gc.collect()
        # As much as one tensor's place takes, and not a thousand times that.
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


async def test_an_index_that_cannot_be_written_changes_nothing(
    registry: LoraRegistry, folder: Path, ink: Path, wash: Path
) -> None:
    await registry.add("ink", ink)
    (folder / "loras.new").mkdir()
    with pytest.raises(FailedPreconditionError, match="cannot be kept in"):
        await registry.add("wash", wash)
    with pytest.raises(FailedPreconditionError, match="cannot be kept in"):
        registry.remove("ink")
    (folder / "loras.new").rmdir()
    assert names(registry) == ["ink"] and files(folder) == kept(ink)
    assert json.loads((folder / "loras.json").read_text()) == {"ink": digest(ink)}
