"""A single file from its registration to its first step, and the memory that takes, beside diffusers' from_single_file.

SDXL's is a `.safetensors` in half precision, others are a pickled `.ckpt` with junk in it. The file is in the system's
cache. One side runs after the other; diffusers, in float32, is given the configurations, so that it needs no network.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import triptych
from benchmarks.processes import Peak, PeakEach, processes_of
from benchmarks.report import print_table
from benchmarks.setting import Setting
from benchmarks.single_files import ensure_single_file
from triptych.errors import TriptychError
from triptych.measuring.machine import cores
from triptych.measuring.worker import Worker
from triptych.sdk import Client
from triptych.sdk.events import Step

_NAME = "downloaded"
_PROMPT = "a red circle"
_BLOCK_BYTES = 2**24


def run(setting: Setting) -> bool:
    """Prints the tables; there is no target but that both sides' pictures come about."""
    suffix = ".safetensors" if "sdxl" in setting.models else ".ckpt"
    file = ensure_single_file(setting.checkpoint(), setting.models, suffix)
    _read(file)
    print(f"{file.name}, {file.stat().st_size / 1e9:.2f} GB, {setting.describe()}, {setting.steps} steps", flush=True)
    # A cache of its own: nothing was converted, hashed or unpacked before.
    with tempfile.TemporaryDirectory(dir=setting.folder, prefix="real-files-") as cache:
        _triptych(setting, file, Path(cache))
        _read(file)
        if not _diffusers(setting, file):
            for converted in Path(cache, "converted").rglob("*.safetensors"):
                _diffusers(setting, converted)
    return True


def _triptych(setting: Setting, file: Path, cache: Path) -> None:
    local = triptych.local({}, cache_dir=cache, startup_timeout_s=1200.0)
    with local as client, PeakEach(lambda: processes_of(local.stack)) as memory:
        began = time.perf_counter()
        told = client.register_checkpoint(_NAME, file, load=True)
        seconds = {"registered and loaded": time.perf_counter() - began}
        for number in _steps(client, setting):
            seconds[f"step {number} done"] = time.perf_counter() - began
        seconds["the picture there"] = time.perf_counter() - began
    print(f"found: {told.family}, {told.format}, {told.precision}, {told.prediction_type} by {told.prediction_told_by}")
    _print_side("triptych", seconds, memory.peaks)


def _steps(client: Client, setting: Setting) -> Iterator[int]:
    for event in client.stream(_PROMPT, checkpoint=_NAME, **setting.parameters()):
        if isinstance(event, Step):
            yield event.step


def _diffusers(setting: Setting, file: Path) -> bool:
    """Prints its side; False, with its reason, where it cannot read the file."""
    worker = Worker("benchmarks.from_single_file", {"config": str(setting.checkpoint()), "threads": cores()})
    with worker as diffusers, PeakEach(lambda: {"its one process": [worker.pid]}) as memory:
        diffusers.wait_ready()
        try:
            seconds = {"loaded": diffusers.ask({"file": str(file)})}
        except TriptychError as error:
            print(f"diffusers cannot read {file.name}: {error.message[:300]}")
            return False
        seconds["step 1 done"] = seconds["loaded"] + diffusers.ask({"prompt": _PROMPT, **setting.parameters()})
    _print_side(f"diffusers, {file.name}", seconds, memory.peaks)
    return True


def _read(file: Path) -> None:
    """Has the system's cache hold it, as after a download."""
    with file.open("rb") as content:
        while content.read(_BLOCK_BYTES):
            pass


def _print_side(side: str, seconds: Mapping[str, float], peaks: Mapping[str, Peak]) -> None:
    print_table((f"{side}: from the registration on", "seconds"), [(what, f"{s:.1f}") for what, s in seconds.items()])
    whole = {**peaks, "sum": sum(peaks.values(), Peak())}
    rows = [(name, f"{peak.resident:.2f}", f"{peak.own:.2f}") for name, peak in whole.items()]
    print_table((f"{side}: GB at their greatest", "resident", "of no file"), rows)
    print(flush=True)
