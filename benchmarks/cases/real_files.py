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
from benchmarks.processes import Groups, Peak, PeakEach, processes_of, processor_seconds
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


class _Since:
    """Seconds since it was made, by the clock and those that cores worked for the processes that `groups` names."""

    def __init__(self, groups: Groups) -> None:
        self._groups, self._began, self._worked = groups, time.perf_counter(), processor_seconds(groups())
        self.rows: list[tuple[str, str, str]] = []

    def note(self, what: str) -> None:
        """Takes both down, as a table's row."""
        worked = processor_seconds(self._groups()) - self._worked
        self.rows.append((what, f"{time.perf_counter() - self._began:.1f}", f"{worked:.1f}"))


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
        since = _Since(lambda: processes_of(local.stack))
        told = client.register_checkpoint(_NAME, file, load=True)
        since.note("registered and loaded")
        for number in _steps(client, setting):
            since.note(f"step {number} done")
        since.note("the picture there")
    print(f"found: {told.family}, {told.format}, {told.precision}, {told.prediction_type} by {told.prediction_told_by}")
    _print_side("triptych", since, memory.peaks)


def _steps(client: Client, setting: Setting) -> Iterator[int]:
    for event in client.stream(_PROMPT, checkpoint=_NAME, **setting.parameters()):
        if isinstance(event, Step):
            yield event.step


def _diffusers(setting: Setting, file: Path) -> bool:
    """Prints its side; False, with its reason, where it cannot read the file."""
    worker = Worker("benchmarks.from_single_file", {"config": str(setting.checkpoint()), "threads": cores()})
    with worker as diffusers, PeakEach(lambda: {"its one process": [worker.pid]}) as memory:
        diffusers.wait_ready()
        since = _Since(lambda: {"diffusers": [worker.pid]})
        try:
            diffusers.ask({"file": str(file)})
        except TriptychError as error:
            print(f"diffusers cannot read {file.name}: {error.message[:300]}")
            return False
        since.note("loaded")
        diffusers.ask({"prompt": _PROMPT, **setting.parameters()})
        since.note("step 1 done")
    _print_side(f"diffusers, {file.name}", since, memory.peaks)
    return True


def _read(file: Path) -> None:
    """Has the system's cache hold it, as after a download."""
    with file.open("rb") as content:
        while content.read(_BLOCK_BYTES):
            pass


def _print_side(side: str, since: _Since, peaks: Mapping[str, Peak]) -> None:
    print_table((f"{side}: from the registration on", "seconds", "of a core"), since.rows)
    whole = {**peaks, "sum": sum(peaks.values(), Peak())}
    rows = [(name, f"{peak.resident:.2f}", f"{peak.own:.2f}") for name, peak in whole.items()]
    print_table((f"{side}: GB at their greatest", "resident", "of no file"), rows)
    print(flush=True)
