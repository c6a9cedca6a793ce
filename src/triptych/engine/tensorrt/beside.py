"""What is made in the background for an engine that runs: a plain one beside it, one with more weights open, variants.

Each is absent, being made, there or failed. One is made at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

import torch

from triptych.engine.tensorrt.background import Job
from triptych.engine.tensorrt.build.making import Making
from triptych.engine.tensorrt.build.plan import OVERRIDE, RefitPlan
from triptych.engine.tensorrt.choice import PlainChoice, lack_of_room
from triptych.engine.tensorrt.pair import Pair
from triptych.engine.tensorrt.refittable import Refittable
from triptych.engine.tensorrt.variants import Begin, Variants
from triptych.errors import FailedPreconditionError

WIDER = RefitPlan.PER_CHECKPOINT
# A build ends at its next step; whatever takes longer ends with the process.
_ENDING_S = 5.0

logger = logging.getLogger("triptych.engine")


class Beside:
    """For one engine; `require` and `choose_plain` are for one thread at a time."""

    def __init__(self, making: Making, pair: Pair, stop: threading.Event) -> None:
        self._making, self._pair, self._stop = making, pair, stop
        self._begin = _one_at_a_time(making.device, stop)
        self._plain: Job | None = None
        self._wider: Job | None = None
        self.variants = Variants(making, pair, self._begin, stop)

    def choose_plain(self) -> None:
        """Has a plain engine made and measured, where one is to be had."""

        def adopt() -> None:
            refittable = self._pair.refittable
            plain = PlainChoice(self._making, refittable.plan).session(refittable.session)
            if plain is not None:
                self._pair.adopt_plain(plain)

        self._plain = self._begin(f"the plain engine {self._key(RefitPlan.PLAIN)}", adopt)

    def require(self, names: Iterable[str]) -> None:
        """Has an engine made with those weights open where they are closed.

        FailedPreconditionError until it is there, or says why it cannot be had.
        """
        closed = self._closed(names)
        if not closed:
            return
        if never := sorted(set(closed) - set(self._making.graph.open_names(WIDER))):
            raise _never(never[0])
        if self._wider is None:
            self._wider = self._begin(f"the engine {self._key(WIDER)}", self._widen)
        built = self._making.is_built(WIDER)
        if built:
            self._wider.wait_for_loading()
        if closed := self._closed(names):
            raise _not_yet(closed, self._wider, built)

    def close(self) -> None:
        """Ends what is being made, and waits for that a while."""
        self._stop.set()
        for job in (self._plain, self._wider, *self.variants.jobs):
            if job is not None and not job.wait(_ENDING_S):
                job.leave()

    def _closed(self, names: Iterable[str]) -> Sequence[str]:
        return sorted(set(names) - self._pair.refittable.names)

    def _key(self, plan: RefitPlan) -> str:
        return self._making.build(plan).key()

    def _widen(self) -> None:
        making = self._making
        if lack := lack_of_room(making, WIDER, making.size_bytes(self._pair.refittable.plan)):
            raise FailedPreconditionError(lack)
        self._pair.adopt(Refittable(making.graph, making.session(WIDER), WIDER, making.waiting))
        logger.info("the engine %s, which any LoRA can change, has taken over", self._key(WIDER))
        if self._pair.plain is None:  # one that was no quicker than the engine before may be quicker than this
            self.choose_plain()


def _one_at_a_time(device: torch.device, stop: threading.Event) -> Begin:
    """Has work done in the background; what waits for its turn is not begun once `stop` is set."""
    turn = threading.Lock()

    def begin(name: str, work: Callable[[], None]) -> Job:
        def unless_stopped() -> None:
            with torch.cuda.device(device):
                if not stop.is_set():
                    work()

        return Job(name, unless_stopped, turn)

    return begin


def _never(name: str) -> FailedPreconditionError:
    opens = f"{OVERRIDE}={RefitPlan.PER_ARCHITECTURE}"
    return FailedPreconditionError(
        f"the LoRA changes {name}, a bias or a norm, which a TensorRT engine has open to changes only with {opens}; "
        "serve the checkpoint with another engine, or with that"
    )


def _not_yet(closed: Sequence[str], job: Job, built: bool) -> FailedPreconditionError:
    touched = f"the LoRA changes {closed[0]}" + (f" and {len(closed) - 1} more" if len(closed) > 1 else "")
    if job.problem:
        return FailedPreconditionError(
            f"{touched}, closed to changes in the engine that runs, and {job.name}, where they are open, could not be "
            f"made: {job.problem}; load the model again to have that tried again"
        )
    state = "is loaded after what is made before it" if built else "is being built, which takes minutes"
    return FailedPreconditionError(
        f"{touched}, closed to changes in the engine that runs; {job.name}, where they are open, "
        f"{state}: ask again then"
    )
