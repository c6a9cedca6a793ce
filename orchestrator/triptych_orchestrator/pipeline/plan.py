"""What a job is made of: a list of passes, each from a source of latents through a part of a scheduler's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from triptych.contract import VAE_ENCODER, LoraWeight
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.pipeline.vae import Vae
from triptych_orchestrator.sampling.noise import Generator
from triptych_orchestrator.sampling.schedulers import Solver

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FromNoise:
    """Latents that are noise alone."""


@dataclass(frozen=True)
class FromPictures:
    """Those of pictures, with noise on them: RGB, height x width x 3 of the pass; one, or one for each sample."""

    pictures: tuple[bytes, ...]


@dataclass(frozen=True)
class FromBefore:
    """As noisy as the pass before left them."""


class Beside(Protocol):
    """What a UNet that edits pictures sees beside its latents."""

    async def latents(self, vae: Vae, generators: Sequence[Generator], samples: int) -> Array:
        """[rows, C, h, w], one row for all samples or one for each; what is random is drawn after the pass's noise."""
        ...


Source: TypeAlias = FromNoise | FromPictures | FromBefore


@dataclass(frozen=True)
class Pass:
    """One run of the loop with a checkpoint; sizes in pixels. Which of the steps it does: see `Solver.evaluations`.

    `zeroes_negative`: as of the job. `loras` are by the contract's model names. `vae` is the entry whose VAE it is:
    the checkpoint, or a VAE alone. `beside` has its encoder asked.
    """

    source: Source
    width: int
    height: int
    checkpoint: str
    zeroes_negative: bool
    loras: Mapping[str, tuple[LoraWeight, ...]]
    vae: str
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    beside: Beside | None = None

    def evaluations(self, solver: Solver) -> range:
        """The solver's that it does."""
        return solver.evaluations(self.strength, self.start, self.end)


Plan: TypeAlias = Sequence[Pass]


def plan_of(job: Job) -> Plan:
    """The passes in order: the job's checkpoint, and a refiner for the end of the steps where one is named."""
    source = FromPictures(job.images) if job.images else FromNoise()
    size = job.width, job.height
    first = Pass(
        source,
        *size,
        job.checkpoint,
        job.zeroes_negative,
        job.loras.sets,
        job.vae or job.checkpoint,
        job.strength,
        end=job.refiner_start,
    )
    if not job.refiner:
        return [first]
    refined = Pass(
        FromBefore(),
        *size,
        job.refiner,
        job.refiner_zeroes_negative,
        job.loras.refiner_sets,
        job.vae or job.refiner,
        start=job.refiner_start,
    )
    return [first, refined]


def models_of(plan: Plan) -> dict[str, set[str]]:
    """By checkpoints, the models that it needs of each besides those that every job needs."""
    needed: dict[str, set[str]] = {name: set() for one in plan for name in (one.checkpoint, one.vae)}
    for one in plan:
        if isinstance(one.source, FromPictures) or one.beside:
            needed[one.vae].add(VAE_ENCODER.name)
    return needed
