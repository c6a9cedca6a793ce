"""The other side: diffusers' own pipeline, eager, in a process of its own that lives as long as a `with` block.

with DiffusersWorker(checkpoint, threads=2) as diffusers:
    seconds = diffusers.generate(prompt="a red circle", num_inference_steps=10, width=256, height=256)
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self


class DiffusersWorker:
    """Speaks a line of JSON a request with the process that `main` runs in."""

    def __init__(self, checkpoint: Path, threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.diffusers_worker", str(checkpoint), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        """The process that holds the pipeline."""
        return self._process.pid

    def generate(self, **parameters: str | float) -> float:
        """Seconds of one call of the pipeline."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the worker has no pipes")
        print(json.dumps(parameters), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the diffusers worker ended with exit code {self._process.wait()}")
        return float(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def main(checkpoint: str, threads: str) -> int:
    """Answers each request on stdin with its seconds on stdout, until stdin ends."""
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import logging
    from transformers.utils import logging as transformers_logging

    for library in (logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    torch.set_num_threads(int(threads))
    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint, dtype=torch.float32, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    for line in sys.stdin:
        parameters = json.loads(line)
        generator = torch.Generator("cpu").manual_seed(parameters.pop("seed", 0))
        began = time.perf_counter()
        pipeline(**parameters, generator=generator)
        print(time.perf_counter() - began, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
