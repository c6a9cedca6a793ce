"""Prometheus metrics of a gateway."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from starlette.types import Scope

from triptych.errors import FailedPreconditionError

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "triptych_gateway_requests", "Requests answered; 499: left before", ["method", "route", "status"], registry=REGISTRY
)
SECONDS = Histogram(
    "triptych_gateway_request_seconds",
    "From a request's head to the end of its answer",
    ["route"],
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
TASKS = Gauge("triptych_gateway_tasks_running", "Calls that make pictures and have not ended", registry=REGISTRY)
CONNECTIONS = Gauge("triptych_gateway_connections", "Open connections", registry=REGISTRY)
DRAINING = Gauge("triptych_gateway_draining", "1 while it finishes what runs and takes nothing new", registry=REGISTRY)

_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


def observe(scope: Scope, status: int, seconds: float) -> None:
    """Counts one request, by its route's pattern: paths are without number."""
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUESTS.labels(method, route, str(status)).inc()
    SECONDS.labels(route).observe(seconds)


def serve_metrics(address: str) -> None:
    """At "host:port", from a thread of its own."""
    host, _, port = address.rpartition(":")
    try:
        start_http_server(int(port), host.strip("[]"), registry=REGISTRY)
    except (OSError, ValueError, OverflowError) as error:
        raise FailedPreconditionError(f"cannot serve metrics on {address}: {error}") from error
