"""`triptych build` on real checkpoints, with real locks and folders; only the exporter is a quick stand-in."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.engine.cache.test_artifacts import Workshop
from triptych.checkpoint import Component
from triptych.cli.main import main
from triptych.demo import checkpoint_path
from triptych.engine import build
from triptych.engine.build import Artifact, Origin
from triptych.engine.cache import artifacts
from triptych.engine.rewriting.variant import Variant
from triptych.errors import TriptychError

MODELS = ("encoder", "unet", "vae_decoder", "vae_encoder")


class Shop:
    """A cache of its own, and `build`, which returns the exit code."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workshop = Workshop(folder, delay=0)
        self.cache = self.workshop.cache
        monkeypatch.setattr(artifacts, "_python", lambda: str(self.workshop.python))

    def build(self, *argv: str | Path) -> int:
        return main(["build", *map(str, argv), "--cache-dir", str(self.cache)])


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(tmp_path, monkeypatch)


def without_seconds(text: str) -> str:
    return re.sub(r"in \d+\.\d s", "in 0.0 s", text)


def test_shipped_graphs_are_not_built(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.build(checkpoint_path()) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        f"[{number}/4] checkpoint {model}: shipped with triptych" for number, model in enumerate(MODELS, 1)
    ]
    assert all(Path(line).is_relative_to(artifacts.SHIPPED) for line in out.splitlines())
    assert not shop.cache.exists()


def test_an_architecture_is_built_once(
    shop: Shop, checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.build(checkpoints["sd1"], checkpoints["sd2zero"], checkpoints["sd2"]) == 0
    out, err = capsys.readouterr()
    lines = [line for line in without_seconds(err).splitlines() if "exporting" not in line]
    assert lines == [
        "[1/12] sd1 encoder: exported in 0.0 s, 7 B",
        "[2/12] sd1 unet: exported in 0.0 s, 7 B",
        "[3/12] sd1 vae_decoder: exported in 0.0 s, 7 B",
        "[4/12] sd1 vae_encoder: exported in 0.0 s, 7 B",
        "[5/12] sd2zero encoder: exported in 0.0 s, 7 B",
        "[6/12] sd2zero unet: exported in 0.0 s, 7 B",
        "[7/12] sd2zero vae_decoder: in the cache",
        "[8/12] sd2zero vae_encoder: in the cache",
        "[9/12] sd2 encoder: in the cache",
        "[10/12] sd2 unet: in the cache",
        "[11/12] sd2 vae_decoder: in the cache",
        "[12/12] sd2 vae_encoder: in the cache",
    ]
    assert "[2/12] sd1 unet: exporting UNet2DConditionModel (unet-" in err
    assert shop.workshop.exports() == 6
    paths = [Path(line) for line in out.splitlines()]
    assert len(paths) == 12 and len(set(paths)) == 6 and all(path.read_bytes() == b"a graph" for path in paths)


def test_paths_from_a_file_and_json(
    shop: Shop, checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "checkpoints.txt"
    listed.write_text(f"# ours\n\n  {checkpoints['sd1']}  \n#{checkpoints['sd2']}\n")
    assert shop.build(checkpoint_path(), "--from", listed, "--json", "--quiet") == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert err == ""
    assert [(row["checkpoint"], row["model"], row["state"]) for row in rows] == [
        (str(path), model, state)
        for path, state in ((checkpoint_path(), "shipped"), (checkpoints["sd1"], "built"))
        for model in MODELS
    ]
    built = rows[-1]
    assert built["path"] == str(shop.cache / "graphs" / built["key"] / "graph.onnx")
    assert built["bytes"] == 7 and built["seconds"] > 0


def test_a_broken_checkpoint_does_not_keep_others_from_being_built(
    shop: Shop, checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model_index.json").write_text("{")
    assert shop.build(broken, "nowhere", checkpoints["sd1"]) == 2
    out, err = capsys.readouterr()
    first, second, *progress = err.splitlines()
    assert first.startswith(f"triptych: {broken}/model_index.json: ")
    assert second == "triptych: nowhere: no such file or directory"
    assert len(out.splitlines()) == 4 and progress[-1].startswith("[4/4] sd1 vae_encoder: exported in ")


def test_a_failed_export_does_not_keep_others_from_being_built(
    shop: Shop, checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "exporter.py"
    script.write_text("import sys\nif 'unet' in sys.argv[3]: raise SystemExit('no\\nmemory')\n" + script.read_text())
    assert shop.build(checkpoints["sd1"], "--quiet") == 1
    out, err = capsys.readouterr()
    assert err == f"triptych: {checkpoints['sd1']}: unet: exporting UNet2DConditionModel failed: memory\n"
    made = [Path(line).parent.name.rpartition("-")[0] for line in out.splitlines()]
    assert made == ["encoder", "vae_decoder", "vae_encoder"]
    assert sorted(path.name for path in (shop.cache / "graphs").glob("unet-*")) == [
        path.name for path in (shop.cache / "graphs").glob("unet-*.lock")
    ]


def test_a_cache_that_cannot_be_written_is_a_failure_of_each_model(
    shop: Shop, checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shop.cache.mkdir()
    (shop.cache / "graphs").write_text("in the way")
    assert shop.build(checkpoints["sd1"], checkpoint_path()) == 8
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    failures = [line for line in err.splitlines() if line.startswith("triptych: ")]
    assert len(failures) == 4 and all("File exists; name a folder" in line for line in failures)


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "path: name a checkpoint, or with --from a file that does"),
        (["--from", "{tmp}/none.txt"], "--from: {tmp}/none.txt: No such file or directory"),
        (["--from", "{tmp}"], "--from: {tmp}: Is a directory"),
        (["--from", "{tmp}/odd.txt"], "--from: {tmp}/odd.txt is no UTF-8 text"),
        (["--from", "{tmp}/empty.txt"], "path: name a checkpoint, or with --from a file that does"),
        (["{tmp}", "--precision", "fp16"], "precision: onnxruntime on cpu computes in fp32, not in fp16"),
        (["{tmp}", "--device", "cuda:0"], "device: onnxruntime runs on cpu, not on cuda"),
        (["{tmp}", "--engine", "tensorrt", "--device", "gpu"], "device: 'gpu' is neither cpu nor cuda:<index>"),
        (["{tmp}", "--for", "controls"], "--for: onnxruntime has nothing built for it: leave it out"),
        *(
            (
                ["{tmp}", "--engine", "tensorrt", "--for", wrong],
                f"--for: {wrong!r} is not one of controls, image-prompt, tiling-x, tiling-y, tiling-xy, or several "
                "joined by +",
            )
            for wrong in ("hints", "controls+", "tiling-x+tiling-y")
        ),
        (["{tmp}", "--cache-dir", "{tmp}/odd.txt"], "--cache-dir: {tmp}/odd.txt is not a directory"),
    ],
)
def test_wrong_usage_is_2(tmp_path: Path, argv: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "odd.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "empty.txt").write_text("# nothing yet\n")
    assert main(["build", *(part.format(tmp=tmp_path) for part in argv)]) == 2
    assert capsys.readouterr() == ("", f"triptych: {problem.format(tmp=tmp_path)}\n")


def test_other_graphs_are_built_of_the_models_that_have_them(
    shop: Shop, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def built(component: Component, _engine: str, _settings: object, _told: object, variant: Variant) -> Artifact:
        if variant.prompts:
            raise TriptychError("no room")
        return Artifact("key", Path(component.architecture.model) / variant.label, 7, 0.0, Origin.BUILT)

    monkeypatch.setattr(build, "check_buildable", lambda *_arguments: None)
    monkeypatch.setattr(build, "build_artifact", built)
    wanted = [part for what in ("tiling-x", "controls+image-prompt", "tiling-x") for part in ("--for", what)]
    assert shop.build(checkpoints["sd1"], "--engine", "tensorrt", *wanted) == 1
    out, err = capsys.readouterr()
    assert [*map(Path, out.splitlines())] == [
        Path(model) / label for model in MODELS for label in ("", *(["tiling x"] if model != "encoder" else []))
    ]
    assert re.search(r"^triptych: .*sd1: unet for controls, 1 image prompt: no room$", err, re.M)
    assert "[3/8] sd1 unet for tiling x" in err


def test_without_tensorrt(
    shop: Shop, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from triptych.engine.tensorrt import api

    monkeypatch.setitem(sys.modules, "tensorrt", None)
    api.tensorrt.cache_clear()
    assert shop.build(checkpoints["sd1"], "--engine", "tensorrt", "--precision", "fp16") == 8
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "pip install triptych[server,torch,tensorrt]" in err


def test_without_its_packages_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Missing(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setitem(sys.modules, "triptych.engine.build", Missing("triptych.engine.build"))
    assert main(["build", str(tmp_path)]) == 8
    assert "needs the module 'onnx'; install it: pip install 'triptych[server,torch]'" in capsys.readouterr().err


def test_what_exports_has_private_temporary_files(shop: Shop, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    seen, python = tmp_path / "seen", shop.workshop.python
    python.write_text(python.read_text().replace("exec", f"stat -c '%a %n' \"$TMPDIR\" >>{seen}\nexec"))
    assert shop.build(checkpoints["sd1"]) == 0
    modes, folders = zip(*(line.split() for line in seen.read_text().splitlines()), strict=True)
    assert set(modes) == {"700"} and not any(Path(folder).exists() for folder in folders)
