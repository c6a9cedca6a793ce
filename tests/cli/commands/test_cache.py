"""`triptych cache`: tables, JSON, and what pruning says and does; see tests/engine for what counts as an entry."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.engine.cache.caches import (
    add_engine,
    add_graph,
    add_leftover,
    add_timings,
    held_by_another_process,
    lock_of,
)
from triptych.cli.main import main


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_list(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, engine, timings = add_graph(cache, unused_days=3), add_engine(cache), add_timings(cache)
    (graph / "graph.onnx").write_bytes(b"damage")
    add_leftover(engine)
    assert main(["cache", "list"]) == 0
    out = capsys.readouterr().out
    head, *rows, total = out.splitlines()
    assert head.split() == ["KIND", "MODEL", "KEY", "SIZE", "LAST", "USED", "STATE", "BUILT", "FOR"]
    assert [row.split()[0] for row in rows] == ["graph", "tensorrt", "tensorrt", "timing"]
    assert f"vae_decoder  {graph.name}" in rows[0] and rows[0].endswith("damaged")
    assert rows[1].endswith("sound       NVIDIA L4, sm 8.9, TensorRT 10.13.0, fp16, one checkpoint")
    assert rows[2].endswith("unfinished")
    assert timings.stem in rows[3] and rows[3].endswith("sound")
    assert total.startswith("total: 4 entries, ")
    assert ".lock" not in out
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == out


def test_list_as_json(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = add_engine(cache, content=bytes(1000))
    assert main(["cache", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row.pop("last_used").endswith("+00:00") and row.pop("bytes") > 1000
    assert row == {
        "kind": "tensorrt engine",
        "model": "unet",
        "key": engine.name,
        "path": str(engine),
        "state": "sound",
        "gpu": "NVIDIA L4",
        "compute_capability": "8.9",
        "tensorrt": "10.13.0",
        "precision": "fp16",
        "plan": "checkpoint",
    }


def test_an_empty_cache(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"nothing is in {cache}; fill it: triptych build PATH\n"
    assert main(["cache", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["cache", "prune", "--all"]) == 0
    assert capsys.readouterr().out == "removed 0 entries, 0 B freed\n"
    assert not cache.exists()


@pytest.mark.parametrize("argv", [["--cache-dir", "{}", "list"], ["list", "--cache-dir", "{}"], ["--cache-dir", "{}"]])
def test_another_folder(argv: list[str], cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = add_graph(tmp_path / "other")
    assert main(["cache", *(part.format(tmp_path / "other") for part in argv)]) == 0
    assert graph.name in capsys.readouterr().out
    (tmp_path / "file").touch()
    assert main(["cache", *(part.format(tmp_path / "file") for part in argv)]) == 2
    assert capsys.readouterr().err == f"triptych: --cache-dir: {tmp_path}/file is not a directory\n"


def test_prune_says_what_it_does(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, timings = add_graph(cache, 0, unused_days=45.5), add_graph(cache, 1), add_timings(cache)
    leftover = add_leftover(new)
    argv = ["cache", "prune", "--unused-for", "30d"]
    assert main([*argv, "--dry-run"]) == 0
    dry, err = capsys.readouterr()
    assert old.exists() and leftover.exists() and err == ""
    first, second, last = dry.splitlines()
    assert first == f"would remove {leftover.name} (graph, 4 B): unfinished"
    assert second.startswith(f"would remove {old.name} (graph, ") and second.endswith("): unused for 45 d")
    assert last.startswith("would remove 2 entries, ")
    assert main(argv) == 0
    assert capsys.readouterr().out == dry.replace("would remove", "removed").rstrip() + " freed\n"
    assert not old.exists() and not leftover.exists() and new.exists() and timings.exists()
    assert main(["cache", "prune", "--max-size", "1B"]) == 0
    assert not new.exists() and not timings.exists()
    assert "least recently used" in capsys.readouterr().out


def test_prune_of_damage_alone(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, damaged = add_graph(cache, 0, unused_days=4000), add_engine(cache)
    (damaged / "engine.plan").unlink()
    assert main(["cache", "prune", "--damaged"]) == 0
    assert old.exists() and not damaged.exists()
    assert "\nremoved 1 entry, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "prune: say what is to go: --unused-for, --max-size, --damaged or --all"),
        (["--dry-run"], "prune: say what is to go: --unused-for, --max-size, --damaged or --all"),
        (["--damaged", "--all"], "--damaged: removes nothing else, so it stands alone"),
        (["--unused-for", "30"], "--unused-for: '30' is no duration: "),
        (["--unused-for", "", "--all"], "--unused-for: '' is no duration: "),
        (["--max-size", "20"], "--max-size: '20' is no size: "),
        (["--damaged", "--max-size", "lots"], "--max-size: 'lots' is no size: "),
    ],
)
def test_wrong_criteria_remove_nothing(
    argv: list[str], problem: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = add_graph(cache, unused_days=1000)
    leftover = add_leftover(graph)
    assert main(["cache", "prune", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"triptych: {problem}") and graph.exists() and leftover.exists()


def test_what_another_process_holds_is_kept(cache: Path) -> None:
    graph = add_graph(cache)
    with held_by_another_process(lock_of(graph)):
        command = [sys.executable, "-m", "triptych.cli.main", "cache", "prune", "--all"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0 and graph.exists()
    assert run.stdout == "removed 0 entries, 0 B freed\n"
    assert run.stderr.startswith(f"kept {graph.name} (graph, ")
    assert run.stderr.endswith("): another process holds its lock\n")


def test_what_cannot_be_removed_is_1(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stuck, other = add_graph(cache), add_graph(cache, 1)
    lock_of(stuck).unlink()
    lock_of(stuck).mkdir()
    assert main(["cache", "prune", "--all"]) == 1
    out, err = capsys.readouterr()
    assert stuck.exists() and not other.exists() and "removed 1 entry" in out
    assert f"kept {stuck.name}" in err and "Is a directory" in err


def test_without_its_packages_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Missing(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setitem(sys.modules, "triptych.engine.cache.inventory", Missing("triptych.engine.cache.inventory"))
    assert main(["cache"]) == 8
    assert "needs the module 'numpy'; install it: pip install 'triptych[server]'" in capsys.readouterr().err


def test_neither_torch_nor_onnx_is_needed(cache: Path) -> None:
    add_engine(cache)
    code = (
        "import sys; from triptych.cli.main import main; assert main(['cache', 'prune', '--all']) == 0; "
        "print([name for name in ('torch', 'onnx', 'onnxruntime', 'tensorrt') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
