"""What happens to a job, in order: one Queued, one Step for each evaluation of the model, one Result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from triptych_orchestrator.jobs.job import Job


@dataclass(frozen=True)
class Queued:
    """The job was understood; it waits for its turn. What was filled in; nothing of what is not drawn."""

    request_id: str
    checkpoint: str = ""
    scheduler: str = ""
    num_inference_steps: int = 0
    width: int = 0
    height: int = 0
    seeds: tuple[int, ...] = ()

    @classmethod
    def of(cls, job: Job) -> Queued:
        """One that draws."""
        return cls(**{each.name: getattr(job, each.name) for each in fields(cls)})


@dataclass
class Step:
    """One evaluation of the model is done; `step` counts from 1 to `total`."""

    step: int
    total: int
    timestep: float
    step_seconds: float
    engine_seconds: float
    batch_size: int
    """Samples that shared the UNet's batch, others' included."""
    replicas: Sequence[str] = ()
    preview_png: bytes = b""
    engine_share_seconds: float = 0.0


@dataclass(frozen=True)
class Picture:
    """A file of a format and the seed that drew it; sizes in pixels.

    `nsfw_content_detected` is None where nobody looked.
    """

    file: bytes
    format: str
    seed: int
    width: int
    height: int
    nsfw_content_detected: bool | None = None
    watermarked: bool = False


@dataclass(frozen=True)
class StageTiming:
    """What the job had of one stage; see StageTiming of the API."""

    calls: int
    wall_seconds: float
    engine_seconds: float
    refit_seconds: float
    replicas: Sequence[str]
    split_calls: int
    engine_share_seconds: float


@dataclass(frozen=True)
class Result:
    """The pictures, and what is worth knowing of how they were made; `stages` by name."""

    request_id: str
    images: Sequence[Picture]
    warnings: Sequence[str] = ()
    total_seconds: float = 0.0
    queue_seconds: float = 0.0
    stages: Mapping[str, StageTiming] = field(default_factory=dict)


Event = Queued | Step | Result
