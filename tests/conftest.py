"""What tests share: tiny checkpoints, and one real stack (three Triton servers and an orchestrator) for the session."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Any

import pytest

import triptych
from tests import tiny
from tests.session.graphs import fill_cache
from tests.session.kept import fill_from_kept
from tests.session.workers import draws_with_torch
from triptych.embedded import Stack, StackConfig

# Exported graphs outlive a run: an architecture is exported once, not once a session.
CACHE = Path(os.environ.get("TRIPTYCH_TEST_CACHE", Path(__file__).parent.parent / ".cache" / "test"))

# A shell's background job ignores Ctrl-C, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For `--dist loadfile`; see tests/session/workers.py."""
    from tests.session.workers import ByStack

    return ByStack(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: to look through all of it for garbage again and again takes seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that draw with torch come one after the other, so that each checkpoint is loaded with it once."""
    items.sort(key=lambda item: draws_with_torch(item.path))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What is loaded with torch goes with its file, or with the last of those: each such process holds 450 MB."""
    is_last_of_file = nextitem is None or nextitem.path != item.path
    if is_last_of_file and not (nextitem and draws_with_torch(item.path) and draws_with_torch(nextitem.path)):
        for served in RUNNING:
            let_go_of_torch(served.client)


def let_go_of_torch(client: triptych.Client) -> None:
    """Unloads what is served with that engine for now or always."""
    held = {model.partition(".")[0] for replica in client.server_info().replicas for model in replica.models}
    for name in sorted({one.partition("~")[0] for one in held if one.endswith(("-torch", "~torch"))}):
        client.unload_checkpoint(name)
        if not name.endswith("-torch"):
            client.load_checkpoint(name)


# Of the tiny checkpoints those that are served by the torch engine as well: an engine knows nothing of schedulers.
WITH_TORCH = ("sd1", "sd2", "sdxl", "refiner")


def make_checkpoints(root: Path) -> dict[str, Path]:
    """Tiny random checkpoints: SD 1.x, SD XL and its refiner, SD 2.x, also with epsilon, and zero terminal SNR."""
    paths = {family: tiny.save_checkpoint(root / family, family) for family in ("sd1", "sd2")}
    paths["sdxl"] = tiny.save_sdxl_checkpoint(root / "sdxl")
    paths["refiner"] = tiny.save_refiner_checkpoint(root / "refiner")
    changes: dict[str, dict[str, object]] = {
        "sd2-epsilon": {"prediction_type": "epsilon"},
        "sd2zero": {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
    }
    for name, changed in changes.items():
        paths[name] = Path(shutil.copytree(paths["sd2"], root / name))
        tiny.update(paths[name] / "scheduler" / "scheduler_config.json", **changed)
    return paths


def register_torch(client: triptych.Client, checkpoints: dict[str, Path]) -> None:
    """Serves each under `<name>-torch` with that engine; it is loaded by the first request, which few tests make."""
    for name, path in checkpoints.items():
        client.register_checkpoint(f"{name}-torch", path, engine="torch")


@pytest.fixture(scope="session", autouse=True)
def kept_graphs() -> None:
    """The cache has those of the tests' checkpoints from the start."""
    fill_from_kept(CACHE)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """See make_checkpoints."""
    return make_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def sdxl(checkpoints: dict[str, Path]) -> Path:
    """That of Stable Diffusion XL."""
    return checkpoints["sdxl"]


@dataclass(frozen=True)
class Served:
    """A running stack and a client of it."""

    stack: Stack
    client: triptych.Client


# The session's stack, once it runs.
RUNNING: list[Served] = []


@pytest.fixture(scope="module", autouse=True)
def logged_as_before() -> Iterator[None]:
    """A stage's model that is begun here logs as its own process would: to stderr, and from INFO on."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in [handler for handler in root.handlers if isinstance(handler, QueueHandler)]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def served(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serves every tiny checkpoint under its name with onnxruntime, and `<name>-torch` with torch."""
    fill_cache(CACHE, checkpoints.values())
    config = StackConfig(
        checkpoints,
        run_dir=tmp_path_factory.mktemp("run"),
        cache_dir=CACHE,
        gateway_port=0,
        startup_timeout_s=900,
        # Batch sizes are not learned: what else the machine does would decide how requests share.
        limits={"max_pixels": 256 * 256, "max_batch_samples": 16},
    )
    with Stack(config) as stack, triptych.Client(stack.address) as client:
        register_torch(client, {name: checkpoints[name] for name in WITH_TORCH})
        RUNNING.append(Served(stack, client))
        yield RUNNING[0]
        RUNNING.clear()
