"""What a job is made of: a list of passes, each from a source of latents through the end of a scheduler's steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from triptych.contract import VAE_ENCODER
from triptych_orchestrator.jobs.job import Job


@dataclass(frozen=True)
class FromNoise:
    """Latents that are noise alone."""


@dataclass(frozen=True)
class FromPictures:
    """Those of pictures, with noise on them: RGB, height x width x 3 of the pass; one, or one for each sample."""

    pictures: tuple[bytes, ...]


Source: TypeAlias = FromNoise | FromPictures


@dataclass(frozen=True)
class Pass:
    """One run of the loop with a checkpoint; sizes in pixels. Of the steps the last `strength`, a share, are done."""

    source: Source
    strength: float
    width: int
    height: int
    checkpoint: str


Plan: TypeAlias = Sequence[Pass]


def plan_of(job: Job) -> Plan:
    """The passes in order."""
    source = FromPictures(job.images) if job.images else FromNoise()
    return [Pass(source, job.strength, job.width, job.height, job.checkpoint)]


def models_of(plan: Plan) -> set[str]:
    """The models that it needs besides those that every job needs."""
    return {VAE_ENCODER.name for one in plan if isinstance(one.source, FromPictures)}
