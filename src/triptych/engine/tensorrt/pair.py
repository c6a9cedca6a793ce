"""The refittable engine, perhaps a plain one beside it that runs whatever needs no LoRA, and those of other graphs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial

from triptych.engine.kept import Kept
from triptych.engine.memory import run_in_memory
from triptych.engine.port import Weights
from triptych.engine.rewriting.variant import PLAIN, Variant
from triptych.engine.tensorrt.refittable import Refittable, Replaced
from triptych.engine.tensorrt.run.session import Session
from triptych.errors import FailedPreconditionError


class Pair:
    """All on one GPU; `lock` is held by whoever runs, refits or exchanges one of them.

    While a plain engine runs what needs no LoRA the refittable one keeps the last set, so that the same set, when it
    comes again, costs no refit. A variant's takes what is wanted when it runs.
    """

    def __init__(self, refittable: Refittable, lock: threading.Lock) -> None:
        self.refittable, self.lock = refittable, lock
        self.plain: Session | None = None
        self.variants: dict[Variant, Refittable] = {}
        self._wanted: Replaced = {}

    def run(self, inputs: Mapping[str, Kept], variant: Variant = PLAIN, *, kept: bool = False) -> dict[str, Kept]:
        """One batch with the weights that were wanted last, in parts where memory is too small for it whole."""
        with self.lock:
            session = self.current if variant == PLAIN else self._varied(self.variants[variant])
            return run_in_memory(partial(session.run, kept=kept), inputs, self._release)

    def _varied(self, one: Refittable) -> Session:
        one.take(self._wanted)
        return one.session

    @property
    def current(self) -> Session:
        """What runs the weights that were wanted last; FailedPreconditionError where no engine holds them."""
        if self.plain is not None and not self._wanted:
            return self.plain
        if not self.refittable.usable:
            raise FailedPreconditionError("a refit of this engine failed, and so did going back: load the model again")
        return self.refittable.session

    def has(self, variant: Variant) -> bool:
        """Whether its engine is there, with all weights open that are wanted now."""
        one = self.variants.get(variant)
        return one is not None and self._wanted.keys() <= one.names

    def take(self, weights: Weights) -> None:
        """Changes what is wanted; after an error that is the checkpoint's own."""
        with self.lock:
            kept = {name: array for name, array in self._wanted.items() if name not in weights}
            self._want(kept | {name: array for name, array in weights.items() if array is not None})

    def adopt_plain(self, plain: Session) -> None:
        """From now on it runs what needs no LoRA."""
        with self.lock:
            self.plain = plain

    def adopt_variant(self, variant: Variant, one: Refittable) -> None:
        """From now on it runs that graph."""
        with self.lock:
            if variant in self.variants:
                self.variants[variant].session.release()
            self.variants[variant] = one

    def adopt(self, refittable: Refittable) -> None:
        """Has it take over from the one that is there, with what is wanted now."""
        with self.lock:
            refittable.take(self._wanted)
            self.refittable.session.release()
            self.refittable = refittable

    def _want(self, wanted: Replaced) -> None:
        self._wanted = {}
        if wanted or self.plain is None:
            self.refittable.take(wanted)
        self._wanted = wanted

    def _release(self) -> None:
        for session in (self.plain, self.refittable.session, *(one.session for one in self.variants.values())):
            if session is not None:
                session.release()
