"""What is found in a cache, what is not taken for Triptych's own, and when something counts as used."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from tests.engine.cache.caches import (
    BUILD,
    DAY_S,
    add_engine,
    add_graph,
    add_leftover,
    add_timings,
    add_weights,
    architecture,
    held_by_another_process,
    lock_of,
)
from triptych.checkpoint import Architecture
from triptych.engine.cache import artifacts
from triptych.engine.cache.artifacts import ensure_graph
from triptych.engine.cache.inventory import Kind, State, inventory
from triptych.engine.cache.pruning import Criteria, prune
from triptych.engine.tensorrt.build.cache import ensure_engine


def states(cache: Path) -> list[State]:
    return [entry.state for entry in inventory(cache)]


def test_converted_weights_are_found(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder = add_weights(cache)
    (entry,) = inventory(cache)
    assert (entry.kind, entry.model, entry.state, entry.path) == (Kind.WEIGHTS, "", State.SOUND, folder)
    assert entry.built_for == {"source": "cache.ckpt"}
    assert entry.size_bytes == sum(file.stat().st_size for file in folder.iterdir())
    (folder / "model.safetensors").write_bytes(b"")
    assert states(cache) == [State.DAMAGED]
    add_leftover(folder)
    assert states(cache) == [State.DAMAGED, State.UNFINISHED]
    assert not [outcome for outcome in prune(cache, Criteria()) if outcome.obstacle] and not inventory(cache)


def test_every_kind_is_found(tmp_path: Path) -> None:
    timings, engine, graph = add_timings(tmp_path), add_engine(tmp_path), add_graph(tmp_path, unused_days=3)
    first, second, third = inventory(tmp_path)
    assert [entry.path for entry in (first, second, third)] == [graph, engine, timings]
    assert [entry.kind for entry in (first, second, third)] == [Kind.GRAPH, Kind.ENGINE, Kind.TIMINGS]
    assert {entry.state for entry in (first, second, third)} == {State.SOUND}
    assert (first.model, first.key) == ("vae_decoder", graph.name)
    assert first.size_bytes == sum(file.stat().st_size for file in graph.iterdir())
    assert first.last_used_s == pytest.approx((graph / "graph.onnx").stat().st_mtime - 3 * DAY_S, abs=60)
    assert second.built_for == {
        "gpu": "NVIDIA L4",
        "compute_capability": "8.9",
        "tensorrt": "10.13.0",
        "precision": "fp16",
        "plan": "checkpoint",
    }
    assert (third.model, third.size_bytes) == ("", len(b"timings"))


def test_no_cache_and_an_empty_one(tmp_path: Path) -> None:
    assert inventory(tmp_path / "none") == []
    (tmp_path / "graphs").mkdir()
    assert inventory(tmp_path) == []


def test_what_is_shipped_is_not_in_the_cache(tmp_path: Path) -> None:
    folder = next(path for path in artifacts.SHIPPED.iterdir() if path.is_dir())
    before = (folder / "manifest.json").stat().st_mtime_ns
    shipped = Architecture.from_canonical((folder / "architecture.json").read_text())
    assert ensure_graph(shipped, tmp_path) == folder / "graph.onnx.gz"
    assert inventory(tmp_path) == [] and (folder / "manifest.json").stat().st_mtime_ns == before


def test_taking_an_artifact_is_noted(tmp_path: Path) -> None:
    add_graph(tmp_path, unused_days=40)
    add_engine(tmp_path, unused_days=40)
    old = [entry.last_used_s for entry in inventory(tmp_path)]
    ensure_graph(architecture(), tmp_path)
    add_engine(tmp_path)  # finds it there
    assert all(
        entry.last_used_s == pytest.approx(then + 40 * DAY_S, abs=60)
        for entry, then in zip(inventory(tmp_path), old, strict=True)
    )


def test_a_cache_that_is_read_only_serves_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, engine = add_graph(tmp_path), add_engine(tmp_path)
    for lock in tmp_path.rglob("*.lock"):
        lock.unlink()

    def refuse(*_arguments: object, **_options: object) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert ensure_graph(architecture(), tmp_path).parent == graph
    assert ensure_engine(tmp_path / "tensorrt", replace(BUILD, weights_digest="0"), refuse) == engine
    assert states(tmp_path) == [State.SOUND, State.SOUND]
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.parametrize("add", [add_graph, add_engine])
@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}", "null", '{"sha256": 1, "size_bytes": "x"}', "[" * 100_000])
def test_a_damaged_manifest(tmp_path: Path, add: Callable[[Path], Path], manifest: str) -> None:
    folder = add(tmp_path)
    (folder / "manifest.json").write_text(manifest)
    assert states(tmp_path) == [State.DAMAGED]
    (folder / "manifest.json").unlink()
    assert states(tmp_path) == [State.DAMAGED]


def test_a_manifest_without_end(tmp_path: Path) -> None:
    manifest = add_graph(tmp_path) / "manifest.json"
    manifest.write_text(manifest.read_text() + " " * 2_000_000)
    assert states(tmp_path) == [State.SOUND]
    manifest.write_text(" " * 2_000_000 + "{}")
    assert states(tmp_path) == [State.DAMAGED]


def test_damaged_content(tmp_path: Path) -> None:
    (add_graph(tmp_path) / "graph.onnx").write_bytes(b"a grape")
    (add_engine(tmp_path) / "engine.plan").write_bytes(b"half")
    add_timings(tmp_path, b"")
    (tmp_path / "graphs" / f"unet-{'0' * 24}").mkdir()
    assert states(tmp_path) == [State.DAMAGED] * 4


def test_what_is_unfinished_and_what_is_being_built(tmp_path: Path) -> None:
    folder = add_graph(tmp_path)
    leftover = add_leftover(folder)
    add_timings(tmp_path, suffix="partial")
    unfinished = {entry.path: entry for entry in inventory(tmp_path)}
    assert unfinished[leftover].state is State.UNFINISHED and unfinished[leftover].size_bytes == len(b"half")
    assert [entry.state for entry in unfinished.values()].count(State.UNFINISHED) == 2
    with held_by_another_process(lock_of(folder)):
        being_built = {entry.path: entry.state for entry in inventory(tmp_path)}
    assert being_built[leftover] is State.BEING_BUILT and being_built[folder] is State.SOUND


def test_what_is_not_triptychs(tmp_path: Path) -> None:
    digits = "0123456789abcdef01234567"
    root = tmp_path / "graphs"
    for name in (
        "notes",
        f"unet-{digits}\n",
        f"unet-{digits}.building-",
        f"unet-{digits}.building-a b",
        f"unet-{digits}.building-\x1b[2J",
        f"unet-{digits.upper()}",
        f"unet-{digits}0",
        f"../graphs/upscaler_net-{digits}",
        f"-unet-{digits}",
        f"timing-{digits}.cache",
    ):
        (root / name).mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(root / f"unet-{digits}") + b"\xff")).mkdir()
    (root / f"vae_decoder-{digits}").write_text("a file, no folder")
    os.mkfifo(root / f"encoder-{digits}")
    (root / f"timing-{digits}.partial").write_text("not among graphs")
    (tmp_path / f"unet-{digits}").mkdir()
    assert inventory(tmp_path) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    cache, outside = tmp_path / "cache", tmp_path / "outside"
    graph = add_graph(outside)
    (cache / "graphs").mkdir(parents=True)
    (cache / "graphs" / graph.name).symlink_to(graph)
    (cache / "tensorrt").symlink_to(outside / "tensorrt")
    add_engine(outside)
    assert inventory(cache) == []
    (tmp_path / "link").symlink_to(outside)
    assert len(inventory(tmp_path / "link")) == 2


def test_a_link_inside_an_entry_is_foreign(tmp_path: Path) -> None:
    graph, elsewhere = add_graph(tmp_path), tmp_path / "elsewhere.onnx"
    (graph / "graph.onnx").rename(elsewhere)
    (graph / "graph.onnx").symlink_to(elsewhere)
    (entry,) = inventory(tmp_path)
    assert entry.state is State.DAMAGED and entry.foreign == ("graph.onnx",)


def test_a_hostile_manifest(tmp_path: Path) -> None:
    manifest = add_engine(tmp_path) / "manifest.json"
    values = {"gpu": "\x1b]0;x\x07L4\n" + "x" * 1000, "tensorrt": {"a": 1}, "plan": 7, "precision": "\u202efp16"}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | values))
    (entry,) = inventory(tmp_path)
    assert entry.state is State.SOUND and entry.built_for.keys() == {"gpu", "compute_capability", "precision"}
    assert entry.built_for["gpu"].startswith("]0;xL4x") and len(entry.built_for["gpu"]) <= 64
    assert entry.built_for["precision"] == "fp16"


@pytest.mark.parametrize("time_s", [-10, 2**33])
def test_times_before_and_after_all_others(tmp_path: Path, time_s: int) -> None:
    os.utime(add_graph(tmp_path) / "manifest.json", (time_s, time_s))
    (entry,) = inventory(tmp_path)
    assert entry.last_used_s == max(time_s, 0)
