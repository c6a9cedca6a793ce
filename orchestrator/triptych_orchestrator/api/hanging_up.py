"""Ends the TCP connection of a gRPC peer, which grpc's asyncio server has no call for."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

Endpoint = tuple[str, int]


def hang_up(peer: str) -> bool:
    """Shuts down the connection to `peer`, "ipv4:127.0.0.1:4711" say; False if this process has none.

    gRPC sees that as it sees a client that goes away: every call of the connection is cancelled.
    """
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    with suppress(ValueError):  # a peer that is no address
        wanted = _endpoint(host, int(port))
        for connection in _connections():
            with connection, suppress(OSError):  # it ends by itself, or is no connection
                if _endpoint(*connection.getpeername()[:2]) == wanted:
                    connection.shutdown(socket.SHUT_RDWR)
                    return True
    return False


def _connections() -> Iterator[socket.socket]:
    """Our internet sockets, under descriptors of their own that nobody can close meanwhile."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            descriptor = os.dup(int(entry.name))
        except OSError:  # closed since it was listed
            continue
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            continue
        connection = socket.socket(fileno=descriptor)
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            yield connection
        else:
            connection.close()


def _endpoint(host: str, port: int) -> Endpoint:
    """Of an IPv4 client on a socket for both, the IPv4 address, as gRPC names it."""
    address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address), port
