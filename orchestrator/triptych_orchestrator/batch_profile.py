"""How many samples one batch should hold, learned from what batches took.

On a GPU a larger batch costs little more until the device is full; beyond that, or on a CPU, it gains nothing and only
makes everyone wait. Measured by others on an H200: 2.77 times the throughput at batch 4 of 512x512, 1.02 of 1024x1024
(sgl-project/sglang#22183).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

Shape = tuple[int, ...]

# A batch may cost so much more per sample than the best size before it counts as too large.
_TOLERANCE = 1.05
# Of the last so many batches of one size the quickest counts: others had to share the machine.
_REMEMBERED = 8
# One slow batch is chance.
_CONVINCING = 3
# What was seen more batches ago says little: the machine may have been busier, or less busy, than it is now.
_OLD_AFTER = 256


class BatchProfile:
    """Seconds per sample by latent shape and batch size, sizes rounded up to powers of two.

    A profile that does not learn reports what it saw and leaves the limit as it is.
    """

    def __init__(self, max_samples: int, *, learns: bool = True) -> None:
        self._max_samples = max_samples
        self._learns = learns
        self._seconds: dict[Shape, dict[int, deque[float]]] = {}
        self._batches: Counter[Shape] = Counter()
        self._last_batch: dict[tuple[Shape, int], int] = {}

    def observe(self, shape: Shape, samples: int, engine_seconds: float) -> None:
        """A batch of `samples` took so long inside the engine; the first of a size warms up and does not count."""
        sizes = self._seconds.setdefault(shape, {})
        size = 1 << (samples - 1).bit_length()
        self._batches[shape] += 1
        self._last_batch[shape, size] = self._batches[shape]
        if size in sizes:
            sizes[size].append(engine_seconds / samples)
        else:
            sizes[size] = deque(maxlen=_REMEMBERED)

    def cap(self, shape: Shape) -> int:
        """The largest size, up to the limit, that is not known to cost 5% more per sample than a smaller one.

        What is known grows old: the least size found too large is then tried again, and a small size that does not
        come any more is not what others are measured by.
        """
        best = self.seconds_per_sample(shape)
        recent = [size for size in best if self._is_recent(shape, size)]
        if not recent or not self._learns:
            return self._max_samples
        quickest = min(recent, key=lambda size: best[size])
        slow = sorted(
            size
            for size, seconds in best.items()
            if size > quickest
            and seconds > _TOLERANCE * best[quickest]
            and len(self._seconds[shape][size]) >= _CONVINCING
        )
        if slow and not self._is_recent(shape, slow[0]):
            del slow[0]
        return slow[0] // 2 if slow else self._max_samples

    def seconds_per_sample(self, shape: Shape) -> Mapping[int, float]:
        """By batch size, for the sizes that were measured."""
        return {size: min(seconds) for size, seconds in self._seconds.get(shape, {}).items() if seconds}

    def _is_recent(self, shape: Shape, size: int) -> bool:
        return self._batches[shape] - self._last_batch[shape, size] < _OLD_AFTER

    def shapes(self) -> list[Shape]:
        """Those that batches came in."""
        return list(self._seconds)
