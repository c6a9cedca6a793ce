"""What to do when a GPU's memory is too small for a batch: run it in halves, and say at last that not even one fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from triptych.engine.kept import Kept, concatenated
from triptych.errors import ResourceExhaustedError

Run = Callable[[Mapping[str, Kept]], dict[str, Kept]]


def run_in_memory(run: Run, inputs: Mapping[str, Kept], release: Callable[[], None]) -> dict[str, Kept]:
    """Runs a batch; whenever memory is short `release` gives back what is held for later, and the rest is halved."""
    batch = len(next(iter(inputs.values())))
    if batch == 1:
        return run_whole(run, inputs, release)
    outputs, _ = _tried(run, inputs)
    if outputs is not None:
        return outputs
    release()
    parts = (slice(0, batch // 2), slice(batch // 2, batch))
    halves = [run_in_memory(run, {name: array[part] for name, array in inputs.items()}, release) for part in parts]
    return {name: concatenated([half[name] for half in halves]) for name in halves[0]}


def run_whole(run: Run, inputs: Mapping[str, Kept], release: Callable[[], None]) -> dict[str, Kept]:
    """Runs a batch, at the second try with all that `release` gives back; ResourceExhaustedError says what it needs."""
    outputs, problem = _tried(run, inputs)
    if outputs is None:
        release()
        outputs, problem = _tried(run, inputs)
    if outputs is None:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
        raise ResourceExhaustedError(
            f"the GPU's memory is too small for {shapes}: {problem}; ask for a smaller picture, or take other models "
            f"off this GPU"
        )
    return outputs


def _tried(run: Run, inputs: Mapping[str, Kept]) -> tuple[dict[str, Kept] | None, str]:
    """The outputs, or what the GPU said; the error itself is let go, for it holds the frames, and they the tensors."""
    try:
        return run(inputs), ""
    except torch.OutOfMemoryError as error:
        return None, str(error)
