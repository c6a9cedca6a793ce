"""The UNet stage behind the loop's port: chooses replicas, step by step, and guides what they predict.

The two halves of classifier-free guidance go to two replicas at once where a second one is idle, and as one batch to
one replica where all are busy: splitting halves a request's time but does not raise what the devices do in all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.batching.batcher import Ticket
from triptych_orchestrator.batching.seats import Batchers, Seat
from triptych_orchestrator.batching.signature import Sample, calls
from triptych_orchestrator.sampling.guidance import combine
from triptych_orchestrator.stages.conditioning import Conditioning
from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.pool import PlacedModel, Replica, ReplicaPool
from triptych_orchestrator.stages.triton import Tensors
from triptych_orchestrator.stages.use import StageUse

Array = npt.NDArray[np.float32]
Answer = tuple[Tensors, Replica]


class Denoiser:
    """One request's UNet calls. `conditionings` is (conditional,) or (unconditional, conditional)."""

    def __init__(
        self,
        pool: ReplicaPool,
        batchers: Batchers,
        model: PlacedModel,
        conditionings: Sequence[Conditioning],
        lora_set: LoraSet,
        guidance_scale: float,
        ticket: Ticket,
    ) -> None:
        self._pool = pool
        self._batchers = batchers
        self._model = model
        self._conditionings = conditionings
        self._lora_set = lora_set
        self._guidance_scale = guidance_scale
        self._ticket = ticket
        self._seats: dict[Replica, Seat] = {}
        self._home: Replica | None = None
        self.use = StageUse()

    def close(self) -> None:
        """No more steps will come."""
        self._keep_seats([])

    async def __call__(self, latents: Array, timestep: float) -> Array:
        """noise_pred [B, C, h, w] for latents [B, C, h, w], guided."""
        replicas = self._choose()
        if len(self._conditionings) == 1 or len(replicas) < 2:
            halves = [(conditioning, row) for conditioning in self._conditionings for row in latents]
            noise_pred = await self._predict(halves, timestep, replicas[0])
            if len(self._conditionings) == 1:
                return noise_pred
            unconditional, conditional = np.split(noise_pred, 2)
        else:
            unconditional, conditional = await self._predict_split(latents, timestep, replicas)
        return combine(unconditional, conditional, self._guidance_scale)

    async def _predict(self, samples: Sequence[Sample], timestep: float, replica: Replica | None) -> Array:
        predictions = []
        for alike in calls(samples, self._lora_set, self._batchers.max_samples):
            began = time.monotonic()
            answer = await self._infer(alike, timestep, replica)
            self.use.add(time.monotonic() - began, [answer])
            self._home = replica = answer[1]
            predictions.append(answer[0]["noise_pred"].astype(np.float32, copy=False))
        self._keep_seats([replica])
        return np.concatenate(predictions)

    async def _predict_split(
        self, latents: Array, timestep: float, replicas: Sequence[Replica | None]
    ) -> tuple[Array, Array]:
        """The two halves, [B, C, h, w] each, side by side."""
        parts: list[list[Array]] = [[], []]
        most = self._batchers.max_samples
        for start in range(0, len(latents), most):
            rows = latents[start : start + most]
            began = time.monotonic()
            answers = await _together(
                self._infer([(conditioning, row) for row in rows], timestep, replica)
                for conditioning, replica in zip(self._conditionings, replicas, strict=True)
            )
            self.use.add(time.monotonic() - began, answers)
            for part, (outputs, _) in zip(parts, answers, strict=True):
                part.append(outputs["noise_pred"].astype(np.float32, copy=False))
            replicas = [replica for _, replica in answers]
        self._home = replicas[0]
        self._keep_seats(replicas)
        return np.concatenate(parts[0]), np.concatenate(parts[1])

    async def _infer(self, samples: Sequence[Sample], timestep: float, preferred: Replica | None) -> Answer:
        async def step(replica: Replica) -> Tensors:
            seat = self._seat(replica)
            replica.remember_loras(self._lora_set.key)
            return await seat.infer(samples, timestep, self._lora_set, self._ticket)

        return await self._pool.run(self._model, step, preferred)

    def _choose(self) -> list[Replica | None]:
        """Where this step goes: the replica with the fewest other loops, and a second one if both have none.

        The home stays unless another is better off, for what was sent there would have to be sent again.
        """
        others = {replica: replica.loops - (replica in self._seats) for replica in self._pool.holders(self._model)}
        if not others:
            return [None]
        first = min(others, key=lambda replica: self._cost(replica, others[replica]))
        second = next((r for r, loops in others.items() if r is not first and loops == 0), None)
        if second is None or others[first] or len(self._conditionings) == 1:
            return [first]
        return [first, second]

    def _cost(self, replica: Replica, other_loops: int) -> tuple[int, bool, int]:
        """Fewest other loops first, a LoRA set to be brought there counted as one; then home; then calls under way."""
        key = self._lora_set.key
        foreign = bool(self._lora_set.loras) and key not in replica.lora_keys
        return other_loops + foreign, replica is not self._home, replica.load

    def _seat(self, replica: Replica) -> Seat:
        if replica not in self._seats:
            batcher = self._batchers.of(replica, self._model)
            self._seats[replica] = Seat(replica, batcher, self._batchers.timeout_s)
        return self._seats[replica]

    def _keep_seats(self, replicas: Sequence[Replica | None]) -> None:
        """Leaves all seats but those at `replicas`."""
        for replica in [replica for replica in self._seats if replica not in replicas]:
            self._seats.pop(replica).leave()


async def _together(work: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """All answers; once one fails the others are cancelled, and that failure raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
