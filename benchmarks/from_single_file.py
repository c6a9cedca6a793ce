"""diffusers' side of a single file: loads it in float32, and does one step, each when it is asked to.

with Worker("benchmarks.from_single_file", {"config": str(folder), "threads": 2}) as diffusers:
    seconds = diffusers.ask({"file": str(file)}) + diffusers.ask({"prompt": "a red circle", "width": 512, ...})
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from triptych.measuring.worker import Work, answer_all


def load(setting: dict[str, Any]) -> Work:
    """Only the libraries yet, for Triptych's servers have imported theirs as well."""
    import diffusers
    import torch

    torch.set_num_threads(setting["threads"])
    diffusers.utils.logging.set_verbosity_error()
    folder = Path(setting["config"])
    pipeline_class = getattr(diffusers, json.loads((folder / "model_index.json").read_text())["_class_name"])
    loaded: list[Any] = []

    def work(parameters: dict[str, Any]) -> None:
        if file := parameters.pop("file", ""):
            options = {"config": str(folder), "dtype": torch.float32, "local_files_only": True}
            loaded[:] = [pipeline_class.from_single_file(file, **options)]
            loaded[0].set_progress_bar_config(disable=True)
            return
        generator = torch.Generator("cpu").manual_seed(parameters.pop("seed"))
        # No more than the first step: no second one, and nothing decoded.
        loaded[0](**parameters, generator=generator, output_type="latent", callback_on_step_end=_stop)

    return work


def _stop(pipeline: Any, _step: int, _timestep: Any, _tensors: dict[str, Any]) -> dict[str, Any]:
    pipeline._interrupt = True
    return {}


if __name__ == "__main__":
    sys.exit(answer_all(lambda: load(json.loads(sys.argv[1]))))
