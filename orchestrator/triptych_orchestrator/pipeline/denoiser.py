"""The UNet stage behind the loop's port: chooses replicas, step by step, and guides what they predict.

What guidance weighs, the two halves of classifier-free guidance say, goes to several replicas at once where others are
idle, and as one batch to one replica where all are busy: splitting shortens a request's time but does not raise what
the devices do in all.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.batching.batcher import Ticket
from triptych_orchestrator.batching.seats import Batchers, Seat
from triptych_orchestrator.batching.signature import Sample, calls
from triptych_orchestrator.pipeline.controlling import Controlling
from triptych_orchestrator.pipeline.guiding import Guided
from triptych_orchestrator.sampling.guidance import combine, rescale
from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.pool import PlacedModel, Replica, ReplicaPool
from triptych_orchestrator.stages.triton import Tensors
from triptych_orchestrator.stages.use import StageUse

Array = npt.NDArray[np.float32]
Answer = tuple[Tensors, Replica]


class Denoiser:
    """One request's UNet calls. `guidance` is for every step: conditionings and what the prediction for each weighs.

    `guidance_rescale` refers to the last conditioning's prediction. `use` is what the request has had of the stage;
    along the axes of `tiling` its pictures tile. A UNet that edits pictures is shown what it sees besides, by `show`,
    before the first step.
    """

    def __init__(
        self,
        pool: ReplicaPool,
        batchers: Batchers,
        model: PlacedModel,
        guidance: Sequence[Guided],
        lora_set: LoraSet,
        ticket: Ticket,
        guidance_rescale: float = 0.0,
        use: StageUse | None = None,
        tiling: str = "",
    ) -> None:
        self._pool = pool
        self._batchers = batchers
        self._model = model
        self._guidance = guidance
        self._weights = [each.weight for each in guidance]
        # Of each, one for all rows of latents, or one for each.
        self._conditionings = [[each.conditioning] for each in guidance]
        self._controlling = Controlling()
        self._lora_set = lora_set
        self._ticket = ticket
        self._guidance_rescale = guidance_rescale
        self._tiling = tiling
        self._seats: dict[Replica, Seat] = {}
        self._home: Replica | None = None
        self.use = StageUse() if use is None else use

    def close(self) -> None:
        """No more steps will come."""
        self._keep_seats([])

    def show(self, image_latents: Array) -> None:
        """What the UNet sees beside the latents, [rows, C, h, w]: one row for all samples, or one for each."""
        self._conditionings = [each.seeing(image_latents) for each in self._guidance]

    def control(self, controlling: Controlling) -> None:
        """Has the steps be under these ControlNets."""
        self._controlling = controlling

    async def __call__(self, latents: Array, timestep: float, index: int = 0) -> Array:
        """noise_pred [B, C, h, w] for latents [B, C, h, w], guided; `index` is the solver's evaluation."""
        replicas = self._choose()
        noise_pred = await self._predict(self._parts(latents, index, len(replicas)), timestep, replicas)
        predictions = np.split(noise_pred, len(self._conditionings))
        guided = combine(predictions, self._weights)
        if self._guidance_rescale > 0 and len(predictions) > 1:
            return rescale(guided, predictions[-1], self._guidance_rescale)
        return guided

    def _parts(self, latents: Array, index: int, count: int) -> list[list[Sample]]:
        """Every conditioning with all rows of latents, in so many parts of whole conditionings."""
        of = [
            [Sample(rows[place % len(rows)], row, controls) for place, row in enumerate(latents)]
            for rows, each in zip(self._conditionings, self._guidance, strict=True)
            for controls in [self._controlling.at(index, is_negative=each.is_negative)]
        ]
        shares = (of[part * len(of) // count : (part + 1) * len(of) // count] for part in range(count))
        return [[sample for half in share for sample in half] for share in shares]

    async def _predict(
        self, parts: Sequence[Sequence[Sample]], timestep: float, replicas: Sequence[Replica | None]
    ) -> Array:
        """All samples' predictions in order, [samples, C, h, w]; the parts go side by side, each to its replica."""
        predictions: list[list[Array]] = [[] for _ in parts]
        at = list(replicas)
        most = self._batchers.max_samples
        for round_ in itertools.zip_longest(*(calls(part, self._lora_set, most) for part in parts)):
            under_way = [(index, samples) for index, samples in enumerate(round_) if samples]
            began = time.monotonic()
            answers = await _together(self._infer(samples, timestep, at[index]) for index, samples in under_way)
            self.use.add(self._model, time.monotonic() - began, answers)
            for (index, _), (outputs, replica) in zip(under_way, answers, strict=True):
                at[index] = replica
                predictions[index].append(outputs["noise_pred"].astype(np.float32, copy=False))
        self._home = at[0]
        self._keep_seats(at)
        return np.concatenate([array for part in predictions for array in part])

    async def _infer(self, samples: Sequence[Sample], timestep: float, preferred: Replica | None) -> Answer:
        async def step(replica: Replica) -> Tensors:
            seat = self._seat(replica)
            replica.remember_loras(self._lora_set.key)
            return await seat.infer(samples, timestep, self._lora_set, self._ticket)

        return await self._pool.run(self._model, step, preferred)

    def _choose(self) -> list[Replica | None]:
        """Where this step goes: the replica with the fewest other loops, and idle ones besides if it has none.

        At most one for each conditioning.

        The home stays unless another is better off, for what was sent there would have to be sent again.
        """
        others = {replica: replica.loops - (replica in self._seats) for replica in self._pool.holders(self._model)}
        if not others:
            return [None]
        first = min(others, key=lambda replica: self._cost(replica, others[replica]))
        idle = [replica for replica, loops in others.items() if replica is not first and loops == 0]
        return [first] if others[first] else [first, *idle[: len(self._conditionings) - 1]]

    def _cost(self, replica: Replica, other_loops: int) -> tuple[int, bool, int]:
        """Fewest other loops first, a LoRA set to be brought there counted as one; then home; then calls under way."""
        key = self._lora_set.key
        foreign = bool(self._lora_set.loras) and key not in replica.lora_keys
        return other_loops + foreign, replica is not self._home, replica.load

    def _seat(self, replica: Replica) -> Seat:
        if replica not in self._seats:
            batcher = self._batchers.of(replica, self._model)
            self._seats[replica] = Seat(replica, batcher, self._batchers.timeout_s, self._tiling)
        return self._seats[replica]

    def _keep_seats(self, replicas: Sequence[Replica | None]) -> None:
        """Leaves all seats but those at `replicas`, where a step is done."""
        for replica in [replica for replica in self._seats if replica not in replicas]:
            self._seats.pop(replica).leave()
        for seat in self._seats.values():
            seat.settle()


async def _together(work: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """All answers; once one fails the others are cancelled, and that failure raised."""
    first, *others = work
    if not others:
        return [await first]
    tasks = [asyncio.create_task(each) for each in (first, *others)]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
