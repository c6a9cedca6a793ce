"""Checkpoints brought from a hub, which is a small server here, by the hub's own library in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from triptych.checkpoint import Checkpoint
from triptych.contract.hub import HubId
from triptych.embedded.config import StackConfig
from triptych.embedded.hub_files import located

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CODE = """
import sys
from triptych.embedded.hub_files import located
from triptych.errors import TriptychError
try:
    print(located("checkpoints", sys.argv[1]))
except TriptychError as error:
    print(error.reason, error.message)
"""

ONLY_FP61 = "whole = hub_files.located\nhub_files.located = lambda *given: whole(*given, 'fp61')"


@dataclass
class Hub:
    """One repository, me/tiny, of the files in a folder; `asked` are the paths of all requests."""

    folder: Path
    address: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[bytes, dict[str, str]] | None:
        path = path.partition("?")[0]
        self.asked.append(path)
        if path.startswith("/api/models/me/tiny"):
            return json.dumps(self.listing(path)).encode(), {"Content-Type": "application/json"}
        file = self.folder / path.removeprefix(f"/me/tiny/resolve/{COMMIT}/")
        if not file.is_file():
            return None
        content = file.read_bytes()
        return content, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}

    def listing(self, path: str) -> object:
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        names = [str(file.relative_to(self.folder)) for file in files]
        if "/tree/" not in path:
            return {"id": "me/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
        return [
            {"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40}
            for name, file in zip(names, files, strict=True)
        ]


@pytest.fixture
def hub(checkpoints: dict[str, Path]) -> Iterator[Hub]:
    one = Hub(checkpoints["sd1"])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, headers = one.answer(self.path) or (b"Repository Not Found", {"X-Error-Code": "RepoNotFound"})
            self.send_response(404 if "X-Error-Code" in headers else 200)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    one.address = f"http://127.0.0.1:{server.server_port}"
    yield one
    server.shutdown()
    server.server_close()


def run(given: str, hub: Hub, home: Path, *before: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE"))}
    env |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "no_proxy": "127.0.0.1"}
    command = [sys.executable, "-c", "\n".join([*before, CODE]), given]
    return subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, timeout=120, check=True)


def test_what_is_needed_is_downloaded_once(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run("me/tiny", hub, tmp_path)
    folder = Path(first.stdout.strip())
    assert folder == tmp_path / "hub" / "models--me--tiny" / "snapshots" / COMMIT, first.stdout
    assert "100%" in first.stderr  # its progress
    assert Checkpoint.open(folder).components.keys() == Checkpoint.open(hub.folder).components.keys()

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    hub.asked.clear()
    assert located("checkpoints", "me/tiny@main") == folder
    assert StackConfig({"x": "me/tiny"}).located().checkpoint_paths() == {"x": folder}
    assert not hub.asked


def test_what_was_cut_off_is_completed(hub: Hub, tmp_path: Path) -> None:
    folder = Path(run("me/tiny", hub, tmp_path).stdout.strip())
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.resolve().unlink()
    weights.unlink()
    assert run("me/tiny", hub, tmp_path).stdout.strip() == str(folder) and weights.exists()
    said = run("me/tiny", hub, tmp_path, "import triptych.embedded.hub_files as hub_files", ONLY_FP61).stdout
    assert said.startswith("INVALID_ARGUMENT variant: no weights of me/tiny are of the variant 'fp61'")


def test_a_repository_that_is_not_there(hub: Hub, tmp_path: Path) -> None:
    said = run("me/none", hub, tmp_path).stdout
    assert said.startswith("STAGE_UNAVAILABLE me/none cannot be downloaded: ")
    assert "hf download me/none --include" in said


def test_a_repository_of_single_files(hub: Hub, tmp_path: Path) -> None:
    hub.folder = tmp_path / "files"
    hub.folder.mkdir()
    (hub.folder / "model.safetensors").touch()
    said = run("me/tiny", hub, tmp_path).stdout
    assert said.startswith("FAILED_PRECONDITION me/tiny is no checkpoint in diffusers' format")
    assert "hf download me/tiny model.safetensors" in said


def test_without_the_library_it_is_said_what_to_run(hub: Hub, tmp_path: Path) -> None:
    said = run("me/tiny", hub, tmp_path, "import sys", "sys.modules['huggingface_hub'] = None").stdout
    assert said.startswith("NOT_DOWNLOADED") and "pip install 'triptych[hub]'" in said
    assert "hf download me/tiny --include" in said and not hub.asked


def test_no_hub_is_asked_for_what_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    assert HubId.parse("models/misspelt") is not None
    assert located("checkpoints", "models/misspelt") == Path("models/misspelt")
