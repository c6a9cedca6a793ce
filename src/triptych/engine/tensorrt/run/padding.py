"""Batches that run with more samples than they have, where that was measured to take less time.

TensorRT tunes its kernels for a few batch sizes, and one between them can take longer than the next tuned one.
"""

from __future__ import annotations

from collections.abc import Mapping

from triptych.engine.kept import Kept, concatenated

# What a larger batch must save at least: two measurements of the same differ by less.
_CLEARLY = 0.97


def padded_batches(seconds: Mapping[int, float]) -> dict[int, int]:
    """For each batch that is run as another, which one; from what a step of each took."""
    padded = {}
    for batch, own in seconds.items():
        quickest = min((other for other in seconds if other > batch), key=lambda other: seconds[other], default=batch)
        if seconds[quickest] < _CLEARLY * own:
            padded[batch] = quickest
    return padded


def read_batch_seconds(manifest: Mapping[str, object]) -> dict[int, float]:
    """As `_make` noted them; none where the manifest has none, or odd ones."""
    noted = manifest.get("batch_seconds")
    try:
        return {int(batch): float(seconds) for batch, seconds in noted.items()} if isinstance(noted, dict) else {}
    except (TypeError, ValueError):
        return {}


def pad(inputs: Mapping[str, Kept], batch: int) -> Mapping[str, Kept]:
    """The inputs with their last sample repeated."""
    if all(len(array) == batch for array in inputs.values()):
        return inputs
    return {name: concatenated([array, *[array[-1:]] * (batch - len(array))]) for name, array in inputs.items()}
