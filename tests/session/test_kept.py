"""The graphs that are kept for tests: that today's exporter made them, and that a run finds them."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.engine.cache.test_shipped import by_any_build
from tests.session.kept import KEPT, architecture_of, export, fill_from_kept, is_fresh_here
from tools.ship_graphs import made_by
from triptych.checkpoint import Checkpoint
from triptych.engine.cache.artifacts import COMPRESSED_FILE, artifact_key, find_graph, read_graph

FOLDERS = sorted(KEPT.iterdir())
CHEAP = next(folder for folder in FOLDERS if folder.name.startswith("encoder-"))
REMEDY = "run `make graphs`"


def test_they_are_fresh() -> None:
    assert not [folder.name for folder in FOLDERS if not is_fresh_here(folder)], REMEDY
    assert [artifact_key(architecture_of(folder)) for folder in FOLDERS] == [folder.name for folder in FOLDERS]


def test_the_sessions_checkpoints_find_theirs(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    fill_from_kept(tmp_path)
    for path in checkpoints.values():
        for component in Checkpoint.open(path).components.values():
            graph = find_graph(component.architecture, tmp_path)
            assert graph and read_graph(graph) == read_graph(KEPT / graph.parent.name / COMPRESSED_FILE)


def test_what_something_else_made_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.session.kept._made_by", lambda *more: made_by(*more) | {"torch": "2.99.0"})
    fill_from_kept(tmp_path)
    assert not list(tmp_path.glob("graphs/*/*"))


@pytest.mark.parametrize(
    "folder",
    [pytest.param(each, id=each.name, marks=[] if each == CHEAP else [pytest.mark.slow]) for each in FOLDERS],
)
def test_each_is_what_is_exported_here(folder: Path) -> None:
    kept = read_graph(folder / COMPRESSED_FILE)
    assert by_any_process(kept) == by_any_process(export(architecture_of(folder)))


def by_any_process(graph: bytes) -> bytes:
    """Without the names of sizes, and what torch notes of their range: of a hint's, which have none, neither lasts."""
    model = onnx.load_model_from_string(by_any_build(graph))
    del model.graph.metadata_props[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model.SerializeToString(deterministic=True)
