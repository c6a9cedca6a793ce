"""How many samples one batch should hold, learned from what batches took.

On a GPU a larger batch costs little more until the device is full; beyond that, or on a CPU, it gains nothing and only
makes everyone wait. Measured by others on an H200: 2.77 times the throughput at batch 4 of 512x512, 1.02 of 1024x1024
(sgl-project/sglang#22183).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from triptych_orchestrator.batching.signature import Kind

# A batch may cost so much more per sample than the best size before it counts as too large.
_TOLERANCE = 1.05
# Of the last so many batches of one size the quickest counts: others had to share the machine.
_REMEMBERED = 8
# One slow batch is chance.
_CONVINCING = 3
# What was seen more batches ago says little: the machine may have been busier, or less busy, than it is now.
_OLD_AFTER = 256
# Clients choose their sizes: beyond so many kinds of samples, the one that was not seen for longest is forgotten.
_MOST_KINDS = 64


@dataclass
class _Seen:
    """Batches of samples alike: how many, and by size the seconds per sample of the latest and which one came last."""

    batches: int = 0
    seconds: dict[int, deque[float]] = field(default_factory=dict)
    last_batch: dict[int, int] = field(default_factory=dict)

    def is_recent(self, size: int) -> bool:
        return self.batches - self.last_batch[size] < _OLD_AFTER


class BatchProfile:
    """Seconds per sample by its kind and batch size, sizes rounded up to powers of two.

    A profile that does not learn reports what it saw and leaves the limit as it is.
    """

    def __init__(self, max_samples: int, *, learns: bool = True) -> None:
        self._max_samples = max_samples
        self._learns = learns
        self._seen: dict[Kind, _Seen] = {}

    def observe(self, kind: Kind, samples: int, engine_seconds: float) -> None:
        """A batch of `samples` took so long inside the engine; the first of a size warms up and does not count."""
        self._seen[kind] = seen = self._seen.pop(kind, _Seen())
        if len(self._seen) > _MOST_KINDS:
            del self._seen[next(iter(self._seen))]
        size = 1 << (samples - 1).bit_length()
        seen.batches += 1
        seen.last_batch[size] = seen.batches
        if size in seen.seconds:
            seen.seconds[size].append(engine_seconds / samples)
        else:
            seen.seconds[size] = deque(maxlen=_REMEMBERED)

    def cap(self, kind: Kind) -> int:
        """The largest size, up to the limit, that is not known to cost 5% more per sample than a smaller one.

        What is known grows old: the least size found too large is then tried again, and a small size that does not
        come any more is not what others are measured by.
        """
        best = self.seconds_per_sample(kind)
        seen = self._seen.get(kind, _Seen())
        recent = [size for size in best if seen.is_recent(size)]
        if not recent or not self._learns:
            return self._max_samples
        quickest = min(recent, key=lambda size: best[size])
        slow = sorted(
            size
            for size, seconds in best.items()
            if size > quickest and seconds > _TOLERANCE * best[quickest] and len(seen.seconds[size]) >= _CONVINCING
        )
        if slow and not seen.is_recent(slow[0]):
            del slow[0]
        return slow[0] // 2 if slow else self._max_samples

    def seconds_per_sample(self, kind: Kind) -> Mapping[int, float]:
        """By batch size, for the sizes that were measured."""
        seen = self._seen.get(kind, _Seen())
        return {size: min(seconds) for size, seconds in seen.seconds.items() if seconds}

    def known(self) -> list[Kind]:
        """Those that batches came in, the latest last."""
        return list(self._seen)
