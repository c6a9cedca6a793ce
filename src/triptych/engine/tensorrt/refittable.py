"""One engine with open weights on the GPU, and what those hold at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.run.device_weights import DeviceWeights
from triptych.engine.tensorrt.run.refitter import WeightsRefitter
from triptych.engine.tensorrt.run.session import Session
from triptych.errors import TriptychError

Replaced = Mapping[str, npt.NDArray[Any]]
"""Parameters by name where they are to differ from the checkpoint's own."""


class Refittable:
    """`names` are the weights that are open; a new one holds the checkpoint's own."""

    def __init__(
        self, graph: TypedGraph, session: Session, plan: RefitPlan, waiting: DeviceWeights | None = None
    ) -> None:
        """Brings every open weight from the files, so that the state refits go back to is one that a refit made.

        For an engine of the whole architecture this is what makes it this checkpoint. Sets wait among those `waiting`.
        """
        self.session, self.plan = session, plan
        self.names = frozenset(graph.open_names(plan))
        needed = sorted(self.names)
        waiting = waiting or DeviceWeights(session.device)
        self._refitter = WeightsRefitter(session, graph.component, graph.maps, needed, waiting) if needed else None
        self._held: Replaced | None = None if self.names else {}  # None: not known
        self.take({})

    @property
    def usable(self) -> bool:
        """False after a refit that failed, as did the one that was to bring the checkpoint's own weights back."""
        return self._held is not None

    def take(self, wanted: Replaced) -> None:
        """Has it hold these and else the checkpoint's own; exchanges what differs from what it holds.

        A refit that fails halfway is followed by one to the checkpoint's own weights, and raises.
        """
        held, self._held = self._held, None
        if self._refitter is not None and (changed := self._changed(held, wanted)):
            try:
                self._refitter.refit({name: wanted.get(name) for name in changed})
            except Exception as error:  # CUDA's are no TriptychErrors
                self._refitter.refit(dict.fromkeys(sorted(self.names)))
                self._held = {}
                raise TriptychError(f"a refit failed, and the checkpoint's own weights are back: {error}") from error
        self._held = dict(wanted)

    def _changed(self, held: Replaced | None, wanted: Replaced) -> list[str]:
        if held is None:
            return sorted(self.names)
        return [name for name in sorted(held.keys() | wanted.keys()) if held.get(name) is not wanted.get(name)]
