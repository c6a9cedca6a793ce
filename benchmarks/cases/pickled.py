"""Converting a pickled checkpoint of 4 GB, against copying the file; and the anonymous memory that it takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting

TARGET_RATIO = 1.5
TARGET_MB = 200.0
_TENSORS, _ELEMENTS = 1_000, 1_070_000
# Run by processes of their own: what is freed does not all go back, and a peak is of a whole life.
_WRITE = """
import sys, torch
tensors = {f"model.diffusion_model.block.{i}.weight": torch.randn(int(sys.argv[3])) for i in range(int(sys.argv[2]))}
torch.save({"global_step": 1, "state_dict": tensors}, sys.argv[1])
"""
_CONVERT = """
import json, sys, threading, time
from pathlib import Path
from triptych.checkpoint.pickles import as_safetensors

def anonymous_mb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1e3

before, peak, done = anonymous_mb(), 0.0, threading.Event()
def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, anonymous_mb())
watching = threading.Thread(target=watch)
watching.start()
begun = time.perf_counter()
as_safetensors(Path(sys.argv[1]), Path(sys.argv[2]))
seconds = time.perf_counter() - begun
done.set()
watching.join()
print(json.dumps({"seconds": seconds, "before_mb": before, "peak_mb": peak}))
"""


def run(setting: Setting) -> bool:
    """Both sides by turns, `rounds` times, the file in the page cache; whether time and memory are within bounds."""
    path, cache = setting.folder / "pickled.ckpt", setting.folder / "pickled-cache"
    if not path.exists():
        subprocess.run([sys.executable, "-c", _WRITE, str(path), str(_TENSORS), str(_ELEMENTS)], check=True)
    seconds: dict[str, list[float]] = {"convert": [], "copy and flush": []}
    peaks: list[float] = []
    for _ in range(setting.rounds):
        run = subprocess.run([sys.executable, "-c", _CONVERT, path, cache], capture_output=True, text=True, check=True)
        told = json.loads(run.stdout)
        seconds["convert"].append(told["seconds"])
        peaks.append(told["peak_mb"] - told["before_mb"])
        shutil.rmtree(cache)
        seconds["copy and flush"].append(_copied(path, setting.folder / "pickled-copy"))
    print(f"a file of {path.stat().st_size / 1e9:.2f} GB")
    print_seconds(seconds)
    ratio = min(seconds["convert"]) / min(seconds["copy and flush"])
    fast = print_judgement("converting / copying, the least of both", ratio, TARGET_RATIO)
    return print_judgement("anonymous memory at its peak", max(peaks), TARGET_MB, " MB") and fast


def _copied(path: Path, target: Path) -> float:
    begun = time.perf_counter()
    subprocess.run(["dd", f"if={path}", f"of={target}", "bs=4M", "conv=fdatasync", "status=none"], check=True)
    seconds = time.perf_counter() - begun
    target.unlink()
    return seconds
