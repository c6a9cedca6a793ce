"""What is removed from a cache and in what order, and what never is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engine.cache.caches import (
    DAY_S,
    add_engine,
    add_graph,
    add_leftover,
    add_timings,
    architecture,
    held_by_another_process,
    lock_of,
)
from tests.engine.cache.test_artifacts import ARCHITECTURE, Workshop, ended
from triptych.cache_folders import mark_used
from triptych.engine.cache.artifacts import artifact_key, find_graph
from triptych.engine.cache.inventory import inventory
from triptych.engine.cache.pruning import Criteria, Outcome, prune

EVERYTHING = Criteria(everything=True)


def pruned(cache: Path, criteria: Criteria, **options: bool) -> dict[Path, str]:
    """The reasons of what was removed; nothing may have been in the way."""
    outcomes = list(prune(cache, criteria, **options))
    assert not [outcome for outcome in outcomes if outcome.obstacle]
    return {outcome.entry.path: outcome.reason for outcome in outcomes}


def kept(cache: Path, criteria: Criteria = EVERYTHING) -> list[Outcome]:
    return [outcome for outcome in prune(cache, criteria) if outcome.obstacle]


def files(cache: Path) -> set[Path]:
    return set(cache.rglob("*"))


def test_leftovers_always_go(tmp_path: Path) -> None:
    sound, damaged, leftover = add_graph(tmp_path), add_graph(tmp_path, 1), add_leftover(add_engine(tmp_path))
    (damaged / "manifest.json").write_text("{")
    partial = add_timings(tmp_path, suffix="partial")
    assert pruned(tmp_path, Criteria()) == {damaged: "damaged", leftover: "unfinished", partial: "unfinished"}
    assert not damaged.exists() and not leftover.exists() and not partial.exists()
    assert sound.exists() and len(inventory(tmp_path)) == 2
    assert pruned(tmp_path, Criteria()) == {}


def test_what_nobody_used_goes(tmp_path: Path) -> None:
    old, new = add_graph(tmp_path, 0, unused_days=31), add_graph(tmp_path, 1, unused_days=29)
    old_engine = add_engine(tmp_path, unused_days=400)
    assert pruned(tmp_path, Criteria(unused_for_s=30 * DAY_S)) == {old_engine: "unused", old: "unused"}
    assert [entry.path for entry in inventory(tmp_path)] == [new]


def test_the_least_recently_used_go_until_the_rest_fits(tmp_path: Path) -> None:
    folders = [add_engine(tmp_path, number, bytes(10_000), unused_days=10 - number) for number in range(5)]
    size_bytes = inventory(tmp_path)[0].size_bytes
    most = Criteria(most_bytes=2 * size_bytes + 100)
    assert list(pruned(tmp_path, most)) == folders[:3]
    assert {entry.path for entry in inventory(tmp_path)} == set(folders[3:])
    assert pruned(tmp_path, most) == {}


def test_leftovers_and_unused_ones_count_first(tmp_path: Path) -> None:
    folders = [add_engine(tmp_path, number, bytes(10_000), unused_days=10 - number) for number in range(4)]
    leftover = add_leftover(folders[3])
    size_bytes = inventory(tmp_path)[0].size_bytes
    reasons = pruned(tmp_path, Criteria(unused_for_s=9.5 * DAY_S, most_bytes=2 * size_bytes + 100))
    assert reasons == {leftover: "unfinished", folders[0]: "unused", folders[1]: "least recently used"}


def test_everything(tmp_path: Path) -> None:
    add_graph(tmp_path)
    add_engine(tmp_path)
    add_timings(tmp_path)
    assert len(pruned(tmp_path, EVERYTHING)) == 3 and inventory(tmp_path) == []
    assert {path.suffix for path in files(tmp_path) if path.is_file()} == {".lock"}


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    graph, timings = add_graph(tmp_path), add_timings(tmp_path)
    lock_of(graph).unlink()
    before = files(tmp_path)
    assert list(pruned(tmp_path, EVERYTHING, dry_run=True)) == [graph, timings]
    assert files(tmp_path) == before
    with held_by_another_process(lock_of(graph)):
        (first, _) = prune(tmp_path, EVERYTHING, dry_run=True)
    assert first.obstacle == "another process holds its lock"


@pytest.mark.parametrize("damaged", [True, False])
def test_what_another_process_holds_stays(tmp_path: Path, damaged: bool) -> None:
    folder, other = add_graph(tmp_path), add_graph(tmp_path, 1)
    leftover = add_leftover(folder)
    if damaged:
        (folder / "graph.onnx").write_bytes(b"")
    with held_by_another_process(lock_of(folder)):
        outcomes = {outcome.entry.path: outcome for outcome in prune(tmp_path, EVERYTHING)}
        assert outcomes[folder].obstacle == outcomes[leftover].obstacle == "another process holds its lock"
        assert not outcomes[folder].failed
        assert folder.exists() and leftover.exists() and not other.exists()
    assert set(pruned(tmp_path, EVERYTHING)) == {folder, leftover}


def test_what_is_being_built_is_finished(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, delay=1)
    builder = shop.builder()
    shop.wait_for_export()
    (outcome,) = kept(shop.cache)
    assert outcome.reason == "being built" and outcome.entry.key == artifact_key(ARCHITECTURE)
    assert ended(builder).read_bytes() == b"a graph" and shop.exports() == 1
    assert find_graph(ARCHITECTURE, shop.cache)


def test_what_is_used_meanwhile_stays(tmp_path: Path) -> None:
    first, second = add_graph(tmp_path, 0, unused_days=50), add_graph(tmp_path, 1, unused_days=40)
    pruning = prune(tmp_path, Criteria(unused_for_s=30 * DAY_S))
    assert next(pruning).entry.path == first
    mark_used(second)
    outcome = next(pruning)
    assert outcome.obstacle == "it has changed meanwhile" and find_graph(architecture(1), tmp_path)


def test_many_prune_at_a_time(tmp_path: Path) -> None:
    for number in range(8):
        add_engine(tmp_path, number)
    with ThreadPoolExecutor(8) as pool:
        outcomes = [
            outcome for found in pool.map(lambda _: list(prune(tmp_path, EVERYTHING)), range(8)) for outcome in found
        ]
    assert inventory(tmp_path) == [] and not [outcome for outcome in outcomes if outcome.failed]
    assert len([outcome for outcome in outcomes if not outcome.obstacle]) == 8


def test_what_is_not_triptychs_stays(tmp_path: Path) -> None:
    graph = add_graph(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "graphs" / "notes").mkdir()
    (tmp_path / "graphs" / f"{graph.name}.backup").mkdir()
    (graph / "notes.txt").write_text("mine")
    before = files(tmp_path)
    (outcome,) = kept(tmp_path)
    assert outcome.entry.path == graph and "not Triptych's" in outcome.obstacle
    assert files(tmp_path) == before


def test_nothing_outside_the_cache_is_removed(tmp_path: Path) -> None:
    cache, outside = tmp_path / "cache", tmp_path / "outside"
    graph, engine = add_graph(outside), add_engine(outside)
    before = files(outside)
    (cache / "graphs").mkdir(parents=True)
    (cache / "graphs" / graph.name).symlink_to(graph)
    (cache / "tensorrt").symlink_to(outside / "tensorrt")
    leftover = cache / "graphs" / f"{graph.name}.building-abc"
    leftover.mkdir()
    (leftover / "link").symlink_to(engine)
    assert set(pruned(cache, EVERYTHING)) == {leftover}
    assert files(outside) == before and (cache / "graphs" / graph.name).is_symlink()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    graph, precious = add_graph(tmp_path), tmp_path / "precious"
    precious.write_text("content")
    lock_of(graph).unlink()
    lock_of(graph).symlink_to(precious)
    (outcome,) = kept(tmp_path)
    assert outcome.failed and graph.exists() and precious.read_text() == "content"


def test_a_check_is_made_again_after_a_new_build(tmp_path: Path) -> None:
    engine, other = add_engine(tmp_path, unused_days=2), add_engine(tmp_path, 1)
    checked = [folder.with_name(f"{folder.name}-{'0' * 24}.checked") for folder in (engine, other)]
    for path in checked:
        path.touch()
    assert list(pruned(tmp_path, Criteria(unused_for_s=DAY_S))) == [engine]
    assert [path.exists() for path in checked] == [False, True]
