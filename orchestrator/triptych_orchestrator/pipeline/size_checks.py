"""Whether the VAE stage takes a size, asked before the first step: its engine may be built for some sizes alone.

For pictures that tile it is asked for these besides, of which there may be another engine.
"""

from __future__ import annotations

import numpy as np

from triptych_orchestrator.stages.pool import PlacedModel, Replica, ReplicaPool
from triptych_orchestrator.stages.triton import Tensors
from triptych_orchestrator.stages.wrapping import wrapping

# A client may ask for any number of sizes.
_MOST_KNOWN = 4096

_Known = tuple[str, str, tuple[int, ...], str]


class SizeChecks:
    """Asks every replica, once for each size; what is known goes with its model."""

    def __init__(self, pool: ReplicaPool, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._known: set[_Known] = set()
        pool.on_withdrawal(self._forget)

    async def require(self, model: PlacedModel, shape: tuple[int, ...], request_id: str, axes: str = "") -> None:
        """InvalidArgumentError where a replica's engine takes no latents [C, h, w] of that shape.

        FailedPreconditionError where it makes no pictures yet that tile along those axes.
        """
        for replica in self._pool.holders(model):
            if (model.name, replica.name, shape, axes) not in self._known:
                await self._ask(model, replica, shape, request_id, axes)

    async def _ask(
        self, model: PlacedModel, preferred: Replica, shape: tuple[int, ...], request_id: str, axes: str
    ) -> None:
        question: Tensors = {"latents": np.zeros((1, *shape), np.float32), "size_check": np.ones((1, 1), np.uint8)}
        question |= wrapping(axes)
        _, replica = await self._pool.run(
            model, lambda at: at.infer(model, question, request_id, self._timeout_s), preferred
        )
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known.add((model.name, replica.name, shape, axes))

    def _forget(self, model_name: str) -> None:
        """The name may come back with another engine."""
        self._known = {known for known in self._known if known[0] != model_name}
