"""One request's place at one UNet replica: what was sent there already, and the batcher its steps go through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triptych.contract import UNET
from triptych.contract.carried import ConditioningLostError, ControlLostError, PreparingError
from triptych_orchestrator.batching.batcher import Call, StepBatcher, Ticket
from triptych_orchestrator.batching.profile import BatchProfile
from triptych_orchestrator.batching.signature import Sample, Signature
from triptych_orchestrator.stages.controls import control_tensors, keys_of
from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.pool import PlacedModel, Replica
from triptych_orchestrator.stages.replica import Load
from triptych_orchestrator.stages.triton import Tensors
from triptych_orchestrator.stages.wrapping import wrapping


class Batchers:
    """The batchers of all (replica, model) in use; `max_samples` of 0 has each learn how large batches should be."""

    def __init__(self, call_timeout_s: float, max_samples: int = 0) -> None:
        self.timeout_s = call_timeout_s
        self._learns = not max_samples
        self.max_samples = max_samples or UNET.max_batch_size
        self._batchers: dict[tuple[Replica, str], StepBatcher] = {}
        self._learned_of: dict[tuple[Replica, str], Load | None] = {}

    def of(self, replica: Replica, model: PlacedModel) -> StepBatcher:
        """The one of that replica and model; it remembers what batches of which size took, since the model's load.

        A replica that was restarted may have another engine or device by its own settings, which nobody here is told.
        """
        at = replica, model.name
        if at not in self._batchers:
            self._batchers[at] = StepBatcher(self._call_of(replica, model), self._new_profile())
        load = replica.held.get(model.name)
        if self._learned_of.setdefault(at, load) is not load:
            self._learned_of[at], self._batchers[at].profile = load, self._new_profile()
        return self._batchers[at]

    def _new_profile(self) -> BatchProfile:
        return BatchProfile(self.max_samples, learns=self._learns)

    def _call_of(self, replica: Replica, model: PlacedModel) -> Call:

        async def call(tensors: Tensors, request_ids: str) -> Tensors:
            return await replica.infer(model, tensors, request_ids, self.timeout_s)

        return call

    def forget(self, model_name: str) -> None:
        """The model is placed no more; what comes back under its name may be another."""
        for key in [key for key in self._batchers if key[1] == model_name]:
            del self._batchers[key], self._learned_of[key]

    def profiles(self, replica: Replica) -> dict[str, BatchProfile]:
        """What batches took on a replica, by model."""
        return {name: batcher.profile for (at, name), batcher in self._batchers.items() if at is replica}

    @property
    def idle(self) -> bool:
        """Whether no request is in its loop."""
        return all(batcher.idle for batcher in self._batchers.values())


class Seat:
    """Taken until `leave`; the replica counts it as one loop."""

    def __init__(self, replica: Replica, batcher: StepBatcher, timeout_s: float, tiling: str = "") -> None:
        self.replica = replica
        self._tiling = tiling
        self._batcher = batcher
        self._timeout_s = timeout_s
        self._joined: set[Signature] = set()
        self._used: set[Signature] = set()
        self._sent: set[bytes] = set()
        self._loras_sent = False
        replica.loops += 1

    def leave(self) -> None:
        """No more steps will come here."""
        for signature in self._joined:
            self._batcher.leave(signature)
        self.replica.loops -= 1

    def settle(self) -> None:
        """A step is done: nobody need wait for calls here that were unlike any of it."""
        for signature in self._joined - self._used:
            self._batcher.leave(signature)
        self._joined, self._used = self._used, set()

    async def infer(self, samples: Sequence[Sample], timestep: float, lora_set: LoraSet, ticket: Ticket) -> Tensors:
        """One call for samples alike, with what the replica does not know; waits while it prepares that."""
        signature = self._join(samples, lora_set)
        step: Tensors = {
            "latents": np.stack([sample.latents for sample in samples]),
            "timestep": np.full((len(samples), 1), timestep, np.float32),
            "conditioning_key": np.stack([sample.conditioning.key for sample in samples]),
            **wrapping(self._tiling, len(samples)),
        }

        async def send(loras: Tensors) -> Tensors:
            return await self._send(signature, samples, step | loras, ticket)

        outputs = await lora_set.infer(send, len(samples), known=self._loras_sent, timeout_s=self._timeout_s)
        self._loras_sent = True
        return outputs

    def _join(self, samples: Sequence[Sample], lora_set: LoraSet) -> Signature:
        signature = Signature.of(samples[0], lora_set, self._tiling)
        self._used.add(signature)
        if signature not in self._joined:
            self._joined.add(signature)
            self._batcher.join(signature)
        return signature

    async def _send(self, signature: Signature, samples: Sequence[Sample], step: Tensors, ticket: Ticket) -> Tensors:
        keys = {sample.conditioning.key.tobytes() for sample in samples}
        controls = [sample.controls for sample in samples]
        while True:
            brought = control_tensors(controls, self._sent)
            if not keys <= self._sent:
                for name in samples[0].conditioning.tensors:
                    brought[name] = np.stack([sample.conditioning.tensors[name] for sample in samples])
            try:
                outputs = await self._batcher.run(signature, step | brought, ticket)
            except (ConditioningLostError, ControlLostError):
                self._sent.clear()
                continue
            except PreparingError:  # what came along is kept all the same
                self._sent |= keys | keys_of(controls)
                raise
            self._sent |= keys | keys_of(controls)
            return outputs
