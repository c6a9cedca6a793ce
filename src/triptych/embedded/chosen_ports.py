"""The ports that were chosen for a stack, and what is said where one cannot be had."""

from __future__ import annotations

from triptych.embedded.config import StackConfig
from triptych.embedded.ports import LOOPBACK, obstacle
from triptych.errors import FailedPreconditionError


def refused_port(config: StackConfig) -> FailedPreconditionError | None:
    """Names the first option whose address or port cannot be had now; None where all can."""
    for field, host, ports, remedy in (
        ("host", config.host, (0,), "it must be an address of this machine"),
        ("port", config.host, (config.port,), "choose another with --port; 0 is a free one"),
        (
            "gateway_port",
            config.host,
            () if config.gateway_port is None else (config.gateway_port,),
            "choose another with --gateway-port; 0 is a free one",
        ),
        ("metrics_port", LOOPBACK, config.metrics_ports(), "choose others with --metrics-port; 0 means free ones"),
    ):
        for port in ports:
            if reason := obstacle(host, port):
                return FailedPreconditionError(f"{field}: {reason}; {remedy}", field=field)
    return None
