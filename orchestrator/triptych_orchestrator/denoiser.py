"""The UNet stage behind the loop's port: batches the guidance halves, sends conditioning once, then latents only."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from triptych.contract import CONDITIONING_KEY_BYTES, REPORT, UNET
from triptych_orchestrator import metrics
from triptych_orchestrator.gate import StepGate
from triptych_orchestrator.guidance import combine
from triptych_orchestrator.lora_sets import POLL_INTERVAL_S, LoraSet
from triptych_orchestrator.replicas import PlacedModel, Replica, ReplicaPool
from triptych_orchestrator.triton import ConditioningLostError, LoraLostError, LoraPreparingError, Tensors

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Conditioning:
    """One prompt's hidden states [tokens, hidden] and their content key."""

    states: Array
    key: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, states: Array) -> Conditioning:
        """Keyed by content, so that equal prompts share one entry on a replica."""
        digest = hashlib.blake2b(states.tobytes(), digest_size=CONDITIONING_KEY_BYTES).digest()
        return cls(states, np.frombuffer(digest, np.uint8))


@dataclass
class StageUse:
    """What one request had of one stage; seconds."""

    calls: int = 0
    wall_seconds: float = 0.0
    engine_seconds: float = 0.0
    refit_seconds: float = 0.0
    batch_samples: int = 0
    replicas: list[str] = field(default_factory=list)

    def add(self, outputs: Tensors, wall_seconds: float, replica: Replica) -> None:
        """Counts one call by what its answer reports."""
        engine_seconds, batch_samples, refit_seconds = (outputs[tensor.name].flat[0].item() for tensor in REPORT)
        metrics.STAGE_SECONDS.labels(replica.stage).observe(wall_seconds)
        metrics.ENGINE_SECONDS.labels(replica.stage).observe(engine_seconds)
        metrics.BATCH_SAMPLES.labels(replica.stage).observe(batch_samples)
        if refit_seconds:
            metrics.REFIT_SECONDS.labels(replica.stage).observe(refit_seconds)
        self.calls += 1
        self.wall_seconds += wall_seconds
        self.engine_seconds += engine_seconds
        self.refit_seconds += refit_seconds
        self.batch_samples = batch_samples
        if replica.name not in self.replicas:
            self.replicas.append(replica.name)


class StepGates:
    """The gates of all (replica, model, shape, LoRA set) in use."""

    def __init__(self) -> None:
        self._gates: dict[tuple[object, ...], StepGate] = {}

    def of(self, *key: object) -> StepGate:
        """The gate of that key; those that nobody uses are forgotten."""
        self._gates = {other: gate for other, gate in self._gates.items() if other == key or not gate.idle}
        return self._gates.setdefault(key, StepGate())


class Denoiser:
    """One request's UNet calls. `conditionings` is (conditional,) or (unconditional, conditional)."""

    def __init__(
        self,
        pool: ReplicaPool,
        gates: StepGates,
        model: PlacedModel,
        conditionings: Sequence[Conditioning],
        lora_set: LoraSet,
        guidance_scale: float,
        request_id: str,
        timeout_s: float,
    ) -> None:
        self._pool = pool
        self._gates = gates
        self._model = model
        self._conditionings = conditionings
        self._lora_set = lora_set
        self._guidance_scale = guidance_scale
        self._request_id = request_id
        self._timeout_s = timeout_s
        self._replica: Replica | None = None
        self._gate: StepGate | None = None
        self._sent: set[bytes] = set()
        self._loras_sent = False
        self.use = StageUse()

    def close(self) -> None:
        """No more steps will come."""
        if self._gate and self._replica:
            self._gate.leave()
            self._gate = None
            self._replica.loops -= 1

    async def __call__(self, latents: Array, timestep: float) -> Array:
        """noise_pred [B, C, h, w] for latents [B, C, h, w], guided."""
        halves = [(conditioning, row) for conditioning in self._conditionings for row in latents]
        predictions = [
            await self._predict(halves[start : start + UNET.max_batch_size], timestep)
            for start in range(0, len(halves), UNET.max_batch_size)
        ]
        noise_pred: Array = np.concatenate(predictions)
        if len(self._conditionings) == 1:
            return noise_pred
        unconditional, conditional = np.split(noise_pred, 2)
        return combine(unconditional, conditional, self._guidance_scale)

    async def _predict(self, samples: Sequence[tuple[Conditioning, Array]], timestep: float) -> Array:
        tensors: Tensors = {
            "latents": np.stack([row for _, row in samples]),
            "timestep": np.full((len(samples), 1), timestep, np.float32),
            "conditioning_key": np.stack([conditioning.key for conditioning, _ in samples]),
        }

        async def step(replica: Replica) -> Tensors:
            async with self._gate_of(replica, tensors["latents"].shape[1:]).step():
                return await self._infer(replica, tensors, samples)

        began = time.monotonic()
        outputs, replica = await self._pool.run(self._model, step, self._replica)
        self.use.add(outputs, time.monotonic() - began, replica)
        noise_pred: Array = outputs["noise_pred"].astype(np.float32, copy=False)
        return noise_pred

    async def _infer(
        self, replica: Replica, tensors: Tensors, samples: Sequence[tuple[Conditioning, Array]]
    ) -> Tensors:
        """One step on a replica, bringing along what it does not know; waits while it prepares the LoRAs."""
        keys = {conditioning.key.tobytes() for conditioning, _ in samples}
        until_s = time.monotonic() + self._timeout_s
        while True:
            brought = self._lora_set.tensors(len(samples), whole=not self._loras_sent)
            if not keys <= self._sent:
                brought["encoder_hidden_states"] = np.stack([conditioning.states for conditioning, _ in samples])
            outputs: Tensors | None = None
            try:
                outputs = await replica.infer(self._model, tensors | brought, self._request_id, self._timeout_s)
            except ConditioningLostError:
                self._sent.clear()
                continue
            except LoraLostError:
                self._loras_sent = False
                continue
            except LoraPreparingError:
                if time.monotonic() > until_s:
                    raise
            self._sent |= keys
            self._loras_sent = True
            if outputs is not None:
                return outputs
            await asyncio.sleep(POLL_INTERVAL_S)

    def _gate_of(self, replica: Replica, shape: tuple[int, ...]) -> StepGate:
        """The replica's gate for this shape; on another replica than before, nothing has been sent yet."""
        if replica is not self._replica or self._gate is None:
            self.close()
            self._replica = replica
            self._sent.clear()
            self._loras_sent = False
            self._gate = self._gates.of(replica.name, self._model.name, shape, self._lora_set.key)
            self._gate.join()
            replica.loops += 1
        return self._gate
