"""What one request had of one stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from triptych.contract import REPORT, STAGES, Report
from triptych_orchestrator import metrics
from triptych_orchestrator.stages.pool import PlacedModel, Replica
from triptych_orchestrator.stages.triton import Tensors


@dataclass
class StageUse:
    """Calls that run side by side, as the halves of a split step, count as one that took as long as the longest."""

    calls: int = 0
    split_calls: int = 0
    wall_seconds: float = 0.0
    engine_seconds: float = 0.0
    engine_share_seconds: float = 0.0
    """Of the engines' time what its samples are of the batches': over all requests, all that the engines worked."""
    refit_seconds: float = 0.0
    batch_samples: int = 0
    not_finite: bool = False
    """Whether anything that came of it was NaN or infinite."""
    replicas: list[str] = field(default_factory=list)
    """All that served the request."""
    last_replicas: list[str] = field(default_factory=list)
    """Those of the latest call."""

    made_by: dict[str, set[str]] = field(default_factory=dict)
    """By the models' public names what they said of themselves, see `triptych.contract.ABOUT`."""

    def note(self, model: PlacedModel, about: str) -> None:
        """Something of the request is that model's."""
        self.made_by.setdefault(model.public_name, set()).add(about)

    def add(self, model: PlacedModel, wall_seconds: float, answers: Sequence[tuple[Tensors, Replica]]) -> None:
        """Counts one call by what its answers report."""
        reports = [Report.of(outputs) for outputs, _ in answers]
        for report, (_, replica) in zip(reports, answers, strict=True):
            metrics.STAGE_SECONDS.labels(replica.stage).observe(wall_seconds)
            metrics.ENGINE_SECONDS.labels(replica.stage).observe(report.engine_seconds)
            metrics.BATCH_SAMPLES.labels(replica.stage).observe(report.batch_samples)
            if report.refit_seconds:
                metrics.REFIT_SECONDS.labels(replica.stage).observe(report.refit_seconds)
        for _, replica in answers:
            self.note(model, replica.about(model))
        self.calls += 1
        self.split_calls += len(answers) > 1
        self.wall_seconds += wall_seconds
        self.engine_seconds += max(report.engine_seconds for report in reports)
        self.engine_share_seconds += sum(
            report.engine_seconds * len(outputs[REPORT.name]) / report.batch_samples
            for report, (outputs, _) in zip(reports, answers, strict=True)
        )
        self.refit_seconds += max(report.refit_seconds for report in reports)
        self.batch_samples = int(max(report.batch_samples for report in reports))
        self.not_finite |= any(report.not_finite for report in reports)
        self.last_replicas = [replica.name for _, replica in answers]
        self.replicas = list(dict.fromkeys([*self.replicas, *self.last_replicas]))


def unsound(uses: Mapping[str, StageUse]) -> list[str]:
    """A warning about the first stage that computed what is no number: the others had no chance then."""
    return [
        f"the {stage} computed NaN or infinite numbers, so that the picture means nothing: weights of the checkpoint "
        "or of a LoRA are damaged, or too large for the stage's precision"
        for stage in STAGES
        if stage in uses and uses[stage].not_finite
    ][:1]
