"""Which engine is built and under what name, and that a folder is whole or absent."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from triptych.checkpoint import Checkpoint
from triptych.contract import UNET
from triptych.engine.recent import Recent
from triptych.engine.tensorrt.build.cache import PLAN_FILE, ensure_engine, measured_steps
from triptych.engine.tensorrt.build.keys import Build, Gpu, build_of, weights_digest
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.network.profiles import Profile, Range
from triptych.errors import FailedPreconditionError

ALONE, SHARED = RefitPlan.PER_CHECKPOINT, RefitPlan.PER_ARCHITECTURE
GPU = Gpu("NVIDIA L4", (8, 9), "10.13.0")
BUILD = Build("unet", "graph", "weights", (Profile({"batch": Range(1, 2, 16)}),), "fp16", ALONE, GPU)


def test_everything_that_shapes_an_engine_is_in_its_key() -> None:
    others = [
        replace(BUILD, graph_digest="another"),
        replace(BUILD, weights_digest="another"),
        replace(BUILD, precision="bf16"),
        replace(BUILD, plan=SHARED),
        replace(BUILD, profiles=(Profile({"batch": Range(1, 2, 8)}),)),
        replace(BUILD, gpu=replace(GPU, name="NVIDIA L40")),
        replace(BUILD, gpu=replace(GPU, compute_capability=(9, 0))),
        replace(BUILD, gpu=replace(GPU, tensorrt_version="11.4.0")),
    ]
    assert len({build.key() for build in (BUILD, *others)}) == len(others) + 1
    assert BUILD.key() == replace(BUILD).key() and BUILD.key().startswith("unet-")
    assert BUILD.subject() == others[1].subject() == others[3].subject()
    assert BUILD.subject() not in {others[i].subject() for i in (0, 2, 4, 5, 6, 7)}


def test_equal_weights_are_one_checkpoint(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))
    original, copied = (Checkpoint.open(path).components[UNET.name] for path in (checkpoints["sd1"], copy))
    assert weights_digest(original) == weights_digest(copied)
    builds = [build_of(copied, b"graph", (), "fp16", plan, GPU) for plan in RefitPlan]
    assert [build.plan for build in builds if not build.weights_digest] == [SHARED]
    assert len({build.key() for build in builds}) == len(RefitPlan) and len({build.subject() for build in builds}) == 1
    file = next(iter(copied.weights.values())).path
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(0, 0))
    assert weights_digest(copied) != weights_digest(original)


class Workshop:
    def __init__(self, seconds: float = 1.0) -> None:
        self.made = 0
        self.seconds = seconds

    def make(self, folder: Path) -> dict[str, Any]:
        self.made += 1
        (folder / PLAN_FILE).write_bytes(b"a plan")
        return {"step_seconds": self.seconds}


def test_an_engine_is_built_once(tmp_path: Path) -> None:
    shop = Workshop()
    folders = {ensure_engine(tmp_path, BUILD, shop.make) for _ in range(3)}
    assert folders == {tmp_path / BUILD.key()} and shop.made == 1
    manifest = json.loads((tmp_path / BUILD.key() / "manifest.json").read_text())
    assert manifest["plan"] == "checkpoint" and manifest["step_seconds"] == 1.0


@pytest.mark.parametrize("damage", ["cut", "gone", "no manifest", "odd manifest"])
def test_a_damaged_engine_is_built_again(tmp_path: Path, damage: str) -> None:
    shop = Workshop()
    folder = ensure_engine(tmp_path, BUILD, shop.make)
    match damage:
        case "cut":
            (folder / PLAN_FILE).write_bytes(b"a pl")
        case "gone":
            (folder / PLAN_FILE).unlink()
        case "no manifest":
            (folder / "manifest.json").unlink()
        case "odd manifest":
            (folder / "manifest.json").write_text("[1")
    assert (ensure_engine(tmp_path, BUILD, shop.make) / PLAN_FILE).read_bytes() == b"a plan" and shop.made == 2


def test_what_fails_its_check_is_not_kept(tmp_path: Path) -> None:
    def wrong(folder: Path) -> dict[str, Any]:
        (folder / PLAN_FILE).write_bytes(b"a wrong plan")
        raise FailedPreconditionError("too far from the reference")

    with pytest.raises(FailedPreconditionError):
        ensure_engine(tmp_path, BUILD, wrong)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_steps_are_compared_among_equals(tmp_path: Path) -> None:
    ensure_engine(tmp_path, BUILD, Workshop(0.5).make)
    ensure_engine(tmp_path, replace(BUILD, weights_digest="other"), Workshop(0.4).make)
    ensure_engine(tmp_path, replace(BUILD, plan=SHARED, weights_digest=""), Workshop(0.7).make)
    ensure_engine(tmp_path, replace(BUILD, precision="fp32"), Workshop(0.1).make)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "manifest.json").write_text(json.dumps({"subject": BUILD.subject(), "plan": "third"}))
    assert measured_steps(tmp_path, BUILD.subject()) == {ALONE: 0.4, SHARED: 0.7}


def test_the_least_recent_shape_goes_first() -> None:
    recent: Recent[int, str] = Recent(2)
    assert [recent.get(key, lambda key=key: str(key)) for key in (1, 2, 1, 3)] == ["1", "2", "1", "3"]
    assert recent.values() == ["1", "3"]
    assert recent.get(1, lambda: "new") == "1" and recent.get(2, lambda: "made anew") == "made anew"
    recent.clear()
    assert not recent.values()
