"""Free TCP ports on an address of this machine."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOOPBACK = "127.0.0.1"
LOWEST_PORT = 20_000
ATTEMPTS = 1_000


def join(host: str, port: int) -> str:
    """`host:port`, with the brackets that IPv6 wants."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reachable(host: str) -> str:
    """Where a client on this machine finds a server bound to `host`, which may be a wildcard."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that holds the port; OSError when another process has it."""
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Connections of the last owner in TIME_WAIT are no obstacle, as they are none to the servers.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
        held.listen(1)
    except OSError:
        held.close()
        raise
    return held


def obstacle(host: str, port: int) -> str:
    """Why the port cannot be bound now; empty when it can."""
    try:
        bound_socket(host, port).close()
    except OSError as error:
        return f"cannot listen on {join(host, port)}: {error.strerror}"
    return ""


def free_ports(host: str, count: int, without: Collection[int] = ()) -> list[int]:
    """Distinct free ports but for some, held open until all are chosen.

    They lie below the range from which the kernel serves `bind(0)` and outgoing connections: a stage must
    find its port free again when it restarts, minutes later.
    """
    end = min(int(EPHEMERAL_RANGE.read_text().split()[0]) if EPHEMERAL_RANGE.exists() else 32_768, 65_536)
    candidates = range(LOWEST_PORT, end) if end > LOWEST_PORT + ATTEMPTS else range(LOWEST_PORT, 65_536)
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.sample(candidates, ATTEMPTS):
            if len(ports) == count:
                break
            if port in without:
                continue
            try:
                held.enter_context(bound_socket(host, port))
            except OSError:
                continue
            ports.append(port)
    if len(ports) < count:
        raise OSError(f"fewer than {count} free ports on {host}")
    return ports
