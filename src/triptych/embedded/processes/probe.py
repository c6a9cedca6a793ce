"""Readiness probes over gRPC, and over HTTP."""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection

import grpc

from triptych.wire.target import proxy_options

TRITON_READY = "/inference.GRPCInferenceService/ServerReady"
TRITON_LIVE = "/inference.GRPCInferenceService/ServerLive"  # stays yes while a model loads
ORCHESTRATOR_HEALTHY = "/grpc.health.v1.Health/Check"
GATEWAY_LISTENS = "GET /health"
GATEWAY_LISTENS_BY_TLS = "GET https:/health"

PROBE_TIMEOUT_S = 2.0
# Without the back-off of an earlier refusal.
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]

# KServe's ServerReadyResponse{ready = true}, its ServerLiveResponse and HealthCheckResponse{status = SERVING}:
# field 1 is 1 in all.
# An empty request is ServerReadyRequest{} and HealthCheckRequest{service = ""}. No client library is needed.
YES = b"\x08\x01"


def is_ready(address: str, method: str, tls_ca: bytes | None = None) -> bool:
    """Whether the server answers yes; False while it does not listen or answers anything else.

    With `tls_ca`, an authority's certificate as PEM, it is asked over TLS, and must be who it says.
    """
    if method.startswith("GET "):
        trusted = tls_ca and ssl.create_default_context(cadata=tls_ca.decode())
        return _answers(address, method.removeprefix("GET "), trusted or None)
    # A stage is reached as by the orchestrator, and that as by any client.
    proxy = proxy_options(address) if method == ORCHESTRATOR_HEALTHY else [("grpc.enable_http_proxy", 0)]
    options = [*OPTIONS, *proxy]
    tls = tls_ca and grpc.ssl_channel_credentials(tls_ca)
    channel = grpc.secure_channel(address, tls, options) if tls else grpc.insecure_channel(address, options)
    with channel:
        call = channel.unary_unary(method)
        try:
            return bool(call(b"", timeout=PROBE_TIMEOUT_S) == YES)
        except grpc.RpcError:
            return False


def _answers(address: str, path: str, tls: ssl.SSLContext | None) -> bool:
    if path.startswith("https:"):
        # Nothing is told to it, and its certificate is of another name than this address.
        path, tls = path.removeprefix("https:"), ssl._create_unverified_context()
    connection = HTTPConnection(address, timeout=PROBE_TIMEOUT_S)
    if tls is not None:
        connection = HTTPSConnection(address, timeout=PROBE_TIMEOUT_S, context=tls)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
