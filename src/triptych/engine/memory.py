"""What to do when a GPU's memory is too small for a batch: run it in halves, and say at last that not even one fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from triptych.engine.port import Array
from triptych.errors import ResourceExhaustedError

Run = Callable[[Mapping[str, Array]], dict[str, Array]]


def run_in_memory(run: Run, inputs: Mapping[str, Array], release: Callable[[], None]) -> dict[str, Array]:
    """Runs a batch; whenever memory is short `release` gives back what is held for later, and the rest is halved."""
    try:
        return run(inputs)
    except torch.OutOfMemoryError as error:
        problem = str(error)
    # Only here: within the handler the error would hold the frames, and they the tensors, of the run that failed.
    release()
    batch = len(next(iter(inputs.values())))
    if batch == 1:
        return _run_one(run, inputs, problem)
    parts = (slice(0, batch // 2), slice(batch // 2, batch))
    halves = [run_in_memory(run, {name: array[part] for name, array in inputs.items()}, release) for part in parts]
    return {name: np.concatenate([half[name] for half in halves]) for name in halves[0]}


def _run_one(run: Run, inputs: Mapping[str, Array], problem: str) -> dict[str, Array]:
    try:
        return run(inputs)
    except torch.OutOfMemoryError:
        pass
    shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
    raise ResourceExhaustedError(
        f"the GPU's memory is too small for one sample of {shapes}: {problem}; ask for a smaller picture, or take "
        f"other models off this GPU"
    )
