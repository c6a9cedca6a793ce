"""What one request had of one stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from triptych.contract import REPORT
from triptych_orchestrator import metrics
from triptych_orchestrator.replicas import Replica
from triptych_orchestrator.triton import Tensors


@dataclass
class StageUse:
    """Calls that run side by side, as the halves of a split step, count as one that took as long as the longest."""

    calls: int = 0
    split_calls: int = 0
    wall_seconds: float = 0.0
    engine_seconds: float = 0.0
    refit_seconds: float = 0.0
    batch_samples: int = 0
    replicas: list[str] = field(default_factory=list)
    """All that served the request."""
    last_replicas: list[str] = field(default_factory=list)
    """Those of the latest call."""

    def add(self, wall_seconds: float, answers: Sequence[tuple[Tensors, Replica]]) -> None:
        """Counts one call by what its answers report."""
        reports = [[outputs[tensor.name].flat[0].item() for tensor in REPORT] for outputs, _ in answers]
        for (engine_seconds, samples, refit_seconds), (_, replica) in zip(reports, answers, strict=True):
            metrics.STAGE_SECONDS.labels(replica.stage).observe(wall_seconds)
            metrics.ENGINE_SECONDS.labels(replica.stage).observe(engine_seconds)
            metrics.BATCH_SAMPLES.labels(replica.stage).observe(samples)
            if refit_seconds:
                metrics.REFIT_SECONDS.labels(replica.stage).observe(refit_seconds)
        engine, samples, refit = (max(column) for column in zip(*reports, strict=True))
        self.calls += 1
        self.split_calls += len(answers) > 1
        self.wall_seconds += wall_seconds
        self.engine_seconds += engine
        self.refit_seconds += refit
        self.batch_samples = samples
        self.last_replicas = [replica.name for _, replica in answers]
        self.replicas = list(dict.fromkeys([*self.replicas, *self.last_replicas]))
