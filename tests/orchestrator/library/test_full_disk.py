"""A disk that is full or read-only: what is refused for it changes nothing, and says which folder it is."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestrator.catalogs import FIRST, SECOND, Pool, catalog, pool, sound_directories, use
from tests.orchestrator.lora_files import any_lora
from triptych.errors import FailedPreconditionError, ResourceExhaustedError, TriptychError
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.entry import State
from triptych_orchestrator.library.loras.registry import LoraRegistry
from triptych_orchestrator.settings import Limits

__all__ = ["pool", "sound_directories"]


class Disk:
    """A file system of 64 kB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.error: type[TriptychError] = TriptychError

    def fill(self) -> None:
        self.error = ResourceExhaustedError
        with pytest.raises(OSError, match="No space"), (self.folder / "filling").open("wb", 0) as stream:
            while True:
                stream.write(b"x" * 512)

    def protect(self) -> None:
        self.error = FailedPreconditionError
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)

    def free(self) -> None:
        subprocess.run(["mount", "-o", "remount,rw", self.folder], check=True)
        (self.folder / "filling").unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


def kept(disk: Disk) -> dict[str, bool]:
    """Each checkpoint that is written down, and whether as loaded."""
    content = json.loads((disk.folder / "checkpoints.json").read_text())
    return {name: entry["loaded"] for name, entry in content.items()}


def states(one: Catalog) -> dict[str, State]:
    return {entry.name: entry.state for entry in one.entries()}


@pytest.mark.parametrize("how", ["fill", "protect"])
async def test_checkpoints(pool: Pool, disk: Disk, how: str) -> None:
    one = catalog(pool, disk.folder)
    await one.register("x", FIRST, load=True)
    await one.register("shown", SECOND, is_transient=True)
    before, held = states(one), set(pool.held)
    getattr(disk, how)()
    for asked in (
        lambda: one.register("y", SECOND),
        lambda: one.register("y", SECOND, load=True),
        lambda: one.register("x", FIRST, "torch"),
        lambda: one.register("x", FIRST, variant="fp16"),
        lambda: one.register("shown", SECOND),
        lambda: one.unregister("x"),
        lambda: one.load("x"),
    ):
        with pytest.raises(
            disk.error, match=f"checkpoints.json cannot be kept in {disk.folder}: .*; .* there"
        ) as caught:
            await asked()
        assert caught.value.metadata["folder"] == str(disk.folder)
        assert states(one) == before and pool.held == held and kept(disk) == {"x": True}

    disk.free()
    assert (await one.register("x", FIRST, "torch")).engine == "torch"
    await one.unregister("x")
    await one.register("shown", SECOND)
    assert kept(disk) == {"shown": False}


@pytest.mark.parametrize("how", ["fill", "protect"])
async def test_unloading_is_not_answered_before_it_is_kept(pool: Pool, disk: Disk, how: str) -> None:
    one = catalog(pool, disk.folder)
    await one.register("x", FIRST, load=True)
    getattr(disk, how)()
    for _ in range(2):
        with pytest.raises(disk.error, match=str(disk.folder)):
            await one.unload("x")
    disk.free()
    await one.unload("x")
    assert kept(disk) == {"x": False} and not pool.held


async def test_a_picture_needs_no_list(pool: Pool, disk: Disk) -> None:
    one = catalog(pool, disk.folder)
    entry = await one.register("x", FIRST)
    disk.fill()
    release = asyncio.Event()
    release.set()
    await use(one, entry, release)
    assert states(one) == {"x": State.LOADED} and kept(disk) == {"x": False}
    disk.free()
    await one.load("x")
    assert kept(disk) == {"x": True}


async def test_a_start_over_a_full_disk(pool: Pool, disk: Disk) -> None:
    await catalog(pool, disk.folder).register("x", FIRST, load=True)
    disk.fill()
    one = catalog(pool, disk.folder)
    await one.restore()
    assert states(one) == {"x": State.LOADED}


@pytest.mark.parametrize("how", ["fill", "protect"])
async def test_loras(disk: Disk, tmp_path: Path, how: str) -> None:
    ink, wash = any_lora(tmp_path), any_lora(tmp_path, "wash", seed=1)
    registry = LoraRegistry(disk.folder, Limits())
    await registry.add("ink", ink)
    before = {path.name for path in disk.folder.iterdir()}
    getattr(disk, how)()
    for asked in (lambda: registry.add("wash", wash), lambda: registry.add("ink", wash, replace=True)):
        with pytest.raises(disk.error, match=f"the LoRA's file cannot be kept in {disk.folder}: ") as caught:
            await asked()
        assert caught.value.metadata["folder"] == str(disk.folder)
    with pytest.raises(disk.error, match=f"loras.json cannot be kept in {disk.folder}: "):
        registry.remove("ink")
    assert [lora.name for lora in registry.entries()] == ["ink"]
    assert {path.name for path in disk.folder.iterdir()} - {"filling", "loras.new"} == before
    disk.free()
    registry.remove("ink")
    await registry.add("wash", wash)
