"""What a gRPC target names: `host:port`, or a URI such as dns:///host:port, ipv6:[::1]:50051 or unix:/run/a.sock.

proxy_options("ipv6:[::1]:50051")   # channel arguments: a server on this machine is not asked by way of a proxy
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

# https://github.com/grpc/grpc/blob/master/doc/naming.md; what begins otherwise is host:port.
_OF_HOSTS = ("dns", "ipv4", "ipv6")
_OF_NO_HOST = ("unix", "unix-abstract", "vsock", "xds", "google-c2p")


def proxy_options(target: str) -> list[tuple[str, Any]]:
    """Without `http_proxy` and its kin, unless the target is one host of another machine.

    gRPC would ask the proxy for loopback too, where `no_proxy` does not name it, and for what is no host and port at
    all: a socket's name, or several addresses at once.
    """
    ends = endpoints(target)
    return [] if len(ends) == 1 and not _is_here(_host(ends[0])) else [("grpc.enable_http_proxy", 0)]


def is_here(target: str) -> bool:
    """Whether a server of that name is on this machine, as far as the name tells."""
    ends = endpoints(target)
    return target.startswith("unix:") or (bool(ends) and all(_is_here(_host(end)) for end in ends))


def endpoints(target: str) -> list[str]:
    """Each `host[:port]` that a target names; none where it names something else."""
    scheme, _, rest = target.partition(":")
    if scheme.lower() in _OF_NO_HOST:
        return []
    if scheme.lower() not in _OF_HOSTS:
        return [target]
    if rest.startswith("//"):
        rest = rest.removeprefix("//").partition("/")[2]  # after the name server to ask
    return unquote(rest).split(",")


def _host(endpoint: str) -> str:
    if endpoint.startswith("["):
        return endpoint[1:].partition("]")[0]
    return endpoint.partition(":")[0] if endpoint.count(":") == 1 else endpoint


def _is_here(host: str) -> bool:
    """Whether it is loopback, or the wildcard, which a connection takes for loopback."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:  # a name
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified
