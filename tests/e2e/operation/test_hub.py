"""A checkpoint by its name on a hub, from the hub's cache, through the real servers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE, difference, orchestrator
from triptych.errors import NotFoundError

COMMITS = ("0" * 40, "1" * 40)


def downloaded(cache: Path, checkpoint: Path, commit: str) -> None:
    """As a hub's client leaves it: a snapshot of links to blobs, and a branch that names the commit."""
    model = cache / "models--me--tiny"
    for folder in ("blobs", "refs"):
        (model / folder).mkdir(parents=True, exist_ok=True)
    for file in (path for path in checkpoint.rglob("*") if path.is_file()):
        blob = model / "blobs" / f"{commit[:8]}-{file.relative_to(checkpoint)}".replace("/", "-")
        link = model / "snapshots" / commit / file.relative_to(checkpoint)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, model / "blobs" / blob)
        link.symlink_to(os.path.relpath(model / "blobs" / blob, link.parent))
    (model / "refs" / "main").write_text(commit)


def test_a_name_is_the_commit_that_it_was(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    downloaded(cache, checkpoints["sd1"], COMMITS[0])
    request = {"prompt": "a star", "scheduler": "ddim", "num_inference_steps": 2, "seed": 1, **SIZE}
    expected = served.client.generate(**request, checkpoint="sd1")
    with orchestrator(served, tmp_path) as one, triptych.Client(one.address) as client:
        with pytest.raises(NotFoundError, match="add it: triptych checkpoints add me/tiny"):
            client.generate(**request, checkpoint="me/tiny")
        known = client.register_checkpoint("hubbed", "me/tiny")
        assert known.path == str(cache / "models--me--tiny" / "snapshots" / COMMITS[0])
        assert difference(client.generate(**request, checkpoint="hubbed"), expected) == 0

        downloaded(cache, checkpoints["sd2"], COMMITS[1])  # the branch moves on
        assert difference(client.generate(**request, checkpoint="hubbed"), expected) == 0
        assert client.register_checkpoint("hubbed", f"me/tiny@{COMMITS[0]}").state == "loaded"
        client.unregister_checkpoint("hubbed")
        assert client.register_checkpoint("hubbed", "me/tiny").path.endswith(COMMITS[1])
        client.unregister_checkpoint("hubbed")
