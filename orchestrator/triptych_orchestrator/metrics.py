"""The orchestrator's Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SAMPLES = (1, 2, 4, 8, 16, 32)

REGISTRY = CollectorRegistry()
REQUESTS = Counter("triptych_requests", "Finished requests", ["checkpoint", "outcome"], registry=REGISTRY)
RUNNING = Gauge("triptych_requests_running", "Requests past admission", registry=REGISTRY)
WAITING = Gauge("triptych_requests_waiting", "Requests waiting for admission", registry=REGISTRY)
STEPS = Counter("triptych_steps", "Finished scheduler steps", ["checkpoint", "scheduler"], registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "triptych_request_seconds", "Whole requests, waiting included", ["checkpoint"], buckets=_SECONDS, registry=REGISTRY
)
WAIT_SECONDS = Histogram("triptych_wait_seconds", "Waiting for admission", buckets=_SECONDS, registry=REGISTRY)
STAGE_SECONDS = Histogram(
    "triptych_stage_seconds", "Calls of a stage, queueing included", ["stage"], buckets=_SECONDS, registry=REGISTRY
)
ENGINE_SECONDS = Histogram(
    "triptych_engine_seconds", "Inside a stage's engine, per call", ["stage"], buckets=_SECONDS, registry=REGISTRY
)
BATCH_SAMPLES = Histogram(
    "triptych_batch_samples", "Samples in the batch that a call shared", ["stage"], buckets=_SAMPLES, registry=REGISTRY
)
REFIT_SECONDS = Histogram(
    "triptych_refit_seconds", "Exchanging LoRA weights between steps", ["stage"], buckets=_SECONDS, registry=REGISTRY
)
FLAGGED_PICTURES = Counter(
    "triptych_flagged_pictures", "Pictures that a safety checker had made black", ["checkpoint"], registry=REGISTRY
)
REPLICAS_READY = Gauge("triptych_replicas_ready", "Replicas of a stage that are up", ["stage"], registry=REGISTRY)
